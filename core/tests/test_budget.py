"""Budgets: what is settled and held together never passes the limit."""

import threading
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from andon import (
    CircuitBreakerConfig,
    CostCircuitBreaker,
    DailyBudgetExceeded,
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
    "wrong", [{"daily_budget_usd": -1}, {"max_request_cost_usd": -1}, {"warning_threshold": 2}]
)
def test_a_senseless_limit_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        CircuitBreakerConfig(**wrong)  # type: ignore[arg-type]


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle and cancel in any order, beside a model that just remembers."""

    held = Bundle("held")
    LIMIT = Decimal(5)

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=self.LIMIT))
        self.model: dict[int, Decimal] = {}

    @rule(target=held, cents=st.integers(0, 300))
    def reserve(self, cents: int) -> Reservation | None:
        amount = Decimal(cents) / 100
        fits = sum(self.model.values()) + amount <= self.LIMIT
        try:
            reservation = self.breaker.reserve(amount)
        except DailyBudgetExceeded:
            assert not fits
            return None
        assert fits
        self.model[reservation.hold] = amount
        return reservation

    @rule(reservation=consumes(held), share=st.integers(0, 100))
    def settle(self, reservation: Reservation | None, share: int) -> None:
        if reservation is not None:
            self.model[reservation.hold] *= Decimal(share) / 100
            reservation.settle(self.model[reservation.hold])

    @invariant()
    def adds_up_below_the_limit(self) -> None:
        assert self.breaker.spent_today_usd == sum(self.model.values()) <= self.LIMIT


TestLedger = LedgerMachine.TestCase
