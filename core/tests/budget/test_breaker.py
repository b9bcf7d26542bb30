"""Budgets: what is settled and held together never passes the limit."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from andon import (
    Budget,
    BudgetExceeded,
    CircuitBreakerConfig,
    CircuitState,
    CostCircuitBreaker,
    DailyBudgetExceeded,
    InvalidRequestError,
    LedgerError,
    MemoryLedger,
    RequestTooExpensive,
    SettingsError,
)
from andon.budget import Reservation


def test_check_and_record() -> None:
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=10.0))
    breaker.check(9)
    breaker.record("9.50")
    with pytest.raises(DailyBudgetExceeded, match=r"\$9\.5"):
        breaker.check(1)
    assert breaker.spent_today_usd == Decimal("9.5")


def test_one_request_may_not_cost_too_much() -> None:
    breaker = CostCircuitBreaker(CircuitBreakerConfig(max_request_cost_usd=1.0))
    with pytest.raises(RequestTooExpensive, match="lower max_tokens"):
        breaker.reserve("1.000000001")
    breaker.reserve(1)


def test_a_new_day_has_a_new_budget() -> None:
    clock = [datetime(2026, 1, 31, 23, 59)]
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=1), now=lambda: clock[0])
    held = breaker.reserve(1)
    clock[0] += timedelta(minutes=1)
    breaker.reserve(1)
    held.settle("0.5")
    assert breaker.spent_today_usd == 1


def test_settling_twice_changes_nothing() -> None:
    breaker = CostCircuitBreaker()
    reservation = breaker.reserve(1)
    reservation.settle("0.25")
    reservation.settle("0.75")
    reservation.cancel()
    assert breaker.spent_today_usd == Decimal("0.25")


@pytest.mark.parametrize("wrong", [-1, 0.5, True, float("nan")])
def test_nothing_but_whole_amounts_reaches_the_ledger(wrong: Any) -> None:
    breaker = CostCircuitBreaker()
    with pytest.raises(InvalidRequestError):
        breaker.reserve_nano(wrong)
    held = breaker.reserve_nano(10)
    with pytest.raises(InvalidRequestError):
        held.settle_nano(wrong)
    assert breaker.spent_today_usd == Decimal("0.00000001")


def test_concurrent_requests_cannot_overspend_together() -> None:
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=10))
    start = threading.Barrier(20)
    granted: list[Reservation] = []

    def spend() -> None:
        start.wait()
        for _ in range(10):
            try:
                granted.append(breaker.reserve("0.1"))
            except DailyBudgetExceeded:
                return

    threads = [threading.Thread(target=spend) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 100
    assert breaker.spent_today_usd == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"daily_budget_usd": -1},
        {"daily_budget_usd": float("nan")},
        {"max_request_cost_usd": -1},
        {"warning_threshold": 2},
        {"lease_seconds": 0},
        {"ledger_failure": "shrug"},
        {"budgets": {"all": Budget(limit_usd=Decimal(1))}},
        {"budgets": {"a/b": Budget(limit_usd=Decimal(1))}},
        {"budgets": {"a": Budget(limit_usd=Decimal(-1))}},
    ],
)
def test_a_senseless_limit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        CircuitBreakerConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(SettingsError, match="Europe/Rome"):
        CostCircuitBreaker(CircuitBreakerConfig(time_zone="Europe/Atlantis"))


def test_the_breaker_opens_at_the_limit_and_closes_with_the_next_day() -> None:
    clock = [datetime(2026, 1, 31, 12)]
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=1), now=lambda: clock[0])
    assert (breaker.state, breaker.remaining_today_usd) == (CircuitState.CLOSED, 1)
    breaker.record(1)
    assert (breaker.state, breaker.remaining_today_usd) == (CircuitState.OPEN, 0)
    clock[0] += timedelta(days=1)
    assert breaker.state is CircuitState.CLOSED


def test_a_refused_request_changes_nothing_for_the_others() -> None:
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=10))
    for _ in range(5):
        with pytest.raises(DailyBudgetExceeded):
            breaker.reserve(11)
    assert breaker.state is CircuitState.CLOSED
    breaker.reserve(10)


def test_more_than_was_held_is_kept_in_full() -> None:
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=1))
    breaker.reserve("0.5").settle(2)
    assert breaker.spent_today_usd == 2
    breaker.reserve(0)  # what costs nothing is never refused
    with pytest.raises(DailyBudgetExceeded):
        breaker.reserve("0.000000001")


# -- Budgets by name --------------------------------------------------------------------------------


def test_every_budget_that_a_request_falls_under_must_have_room() -> None:
    budgets = {
        "per-user": Budget(limit_usd=Decimal(1), per="user"),
        "night": Budget(limit_usd=Decimal(3), period="month", match={"shift": "night"}),
    }
    breaker = CostCircuitBreaker(CircuitBreakerConfig(budgets=budgets, daily_budget_usd=100))
    breaker.reserve(1, labels={"user": "ada"})
    with pytest.raises(BudgetExceeded, match="'per-user/ada'") as raised:
        breaker.reserve("0.01", labels={"user": "ada"})
    assert raised.value.budget == "per-user/ada"
    breaker.reserve(1, labels={"user": "bob", "shift": "night"})
    breaker.reserve(1, labels={"user": "eve", "shift": "night"})
    breaker.reserve(1, labels={"user": "flo", "shift": "night"})
    with pytest.raises(BudgetExceeded, match="'night'"):
        breaker.reserve("0.01", labels={"user": "gil", "shift": "night"})
    # What one budget refused was held at none.
    breaker.reserve(1, labels={"user": "gil"})
    assert breaker.spent_today_usd == 5


def test_a_monthly_budget_lasts_over_the_days_and_no_longer_than_the_month() -> None:
    clock = [datetime(2026, 1, 30, 12)]
    config = CircuitBreakerConfig(budgets={"m": Budget(limit_usd=Decimal(1), period="month")})
    breaker = CostCircuitBreaker(config, now=lambda: clock[0])
    breaker.record(1)
    clock[0] += timedelta(days=1)
    with pytest.raises(BudgetExceeded):
        breaker.reserve(1)
    clock[0] += timedelta(days=1)
    breaker.reserve(1)


# -- Time ------------------------------------------------------------------------------------------


def test_a_day_begins_at_midnight_of_the_zone_also_when_it_has_25_hours() -> None:
    # In Rome the clocks went back on 2026-10-25: local midnights are 25 hours apart.
    clock = [datetime(2026, 10, 24, 22, 0, tzinfo=UTC)]
    config = CircuitBreakerConfig(daily_budget_usd=1, time_zone="Europe/Rome")
    breaker = CostCircuitBreaker(config, now=lambda: clock[0])
    breaker.record(1)
    clock[0] += timedelta(hours=24, minutes=59)
    assert breaker.state is CircuitState.OPEN
    clock[0] += timedelta(minutes=1)
    assert breaker.state is CircuitState.CLOSED


def test_a_clock_that_is_set_back_does_not_open_an_old_day_again() -> None:
    clock = [datetime(2026, 1, 31, 23, 59)]
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=1), now=lambda: clock[0])
    clock[0] += timedelta(minutes=2)
    breaker.record(1)
    clock[0] -= timedelta(days=3)
    with pytest.raises(DailyBudgetExceeded):
        breaker.reserve("0.01")


# -- Warnings and failures -----------------------------------------------------------------------------


def test_a_warning_comes_once_a_period() -> None:
    clock = [datetime(2026, 1, 31, 12)]
    config = CircuitBreakerConfig(daily_budget_usd=10, warning_threshold=0.8)
    breaker = CostCircuitBreaker(config, now=lambda: clock[0])
    assert breaker.reserve("7.99").warnings == ()
    [warning] = breaker.reserve("0.01").warnings
    assert (warning.budget, warning.used_usd, warning.limit_usd) == ("all", 8, 10)
    assert breaker.reserve(1).warnings == ()
    clock[0] += timedelta(days=1)
    assert len(breaker.reserve(9).warnings) == 1


class BrokenLedger(MemoryLedger):
    """A ledger that nobody reaches."""

    def reserve(self, hold: object) -> Any:
        raise LedgerError("nobody there")


def test_without_its_ledger_nothing_is_spent_unless_that_is_allowed() -> None:
    with pytest.raises(LedgerError):
        CostCircuitBreaker(ledger=BrokenLedger()).reserve(1)
    config = CircuitBreakerConfig(ledger_failure="allow", max_request_cost_usd=1)
    breaker = CostCircuitBreaker(config, ledger=BrokenLedger())
    breaker.reserve(1).settle(1)
    with pytest.raises(RequestTooExpensive):
        breaker.reserve(2)
