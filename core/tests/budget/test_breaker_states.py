"""The breaker under a clock that runs, jumps and changes with the seasons, beside a model."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from andon import (
    Budget,
    BudgetExceeded,
    CircuitBreakerConfig,
    CircuitState,
    CostCircuitBreaker,
    DailyBudgetExceeded,
    RequestTooExpensive,
)
from andon.budget import Reservation
from andon.pricing import to_nano

ROME = ZoneInfo("Europe/Rome")
DAILY, REQUEST, USER = 500, 120, 200  # nano-dollars, as all amounts here
USERS = ("ada", "bob")


class BreakerMachine(RuleBasedStateMachine):
    """Reserve, settle, cancel and record, while the clock does what clocks do."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        # In Rome the clocks go forward on 2026-03-29 and back on 2026-10-25.
        self.clock = datetime(2026, 3, 28, 20, tzinfo=UTC)
        self.breaker = CostCircuitBreaker(
            CircuitBreakerConfig(
                daily_budget_usd=Decimal(DAILY) / 10**9,
                max_request_cost_usd=Decimal(REQUEST) / 10**9,
                budgets={
                    "user": Budget(limit_usd=Decimal(USER) / 10**9, period="month", per="user")
                },
                time_zone="Europe/Rome",
            ),
            now=lambda: self.clock,
        )
        self.newest = self.local_day()
        #: Nano-dollars by day, and by month and user.
        self.days: dict[date, int] = {}
        self.users: dict[tuple[str, str], int] = {}
        self.open: dict[str, tuple[int, date, tuple[str, str]]] = {}

    def local_day(self) -> date:
        return self.clock.astimezone(ROME).date()

    def day(self) -> date:
        """Return the day that counts: an older one does not come again."""
        self.newest = max(self.newest, self.local_day())
        return self.newest

    def add(self, day: date, user: tuple[str, str], amount: int) -> None:
        self.days[day] = self.days.get(day, 0) + amount
        self.users[user] = self.users.get(user, 0) + amount

    @rule(target=held, amount=st.integers(0, 150), name=st.sampled_from(USERS))
    def reserve(self, amount: int, name: str) -> Reservation | None:
        day = self.day()
        user = (f"{day:%Y-%m}", name)
        expected: type[Exception] | None = None
        if amount > REQUEST:
            expected = RequestTooExpensive
        elif amount and self.days.get(day, 0) + amount > DAILY:
            expected = DailyBudgetExceeded
        elif amount and self.users.get(user, 0) + amount > USER:
            expected = BudgetExceeded
        if expected is not None:
            with pytest.raises(expected):
                self.breaker.reserve_nano(amount, labels={"user": name})
            return None
        reservation = self.breaker.reserve_nano(amount, labels={"user": name})
        self.add(day, user, amount)
        self.open[reservation.hold] = (amount, day, user)
        return reservation

    @rule(reservation=held, amount=st.integers(0, 150))
    def settle(self, reservation: Reservation | None, amount: int) -> None:
        if reservation is None:
            return
        reservation.settle_nano(amount)
        found = self.open.pop(reservation.hold, None)
        if found is not None:
            held, day, user = found
            self.add(day, user, amount - held)

    @rule(amount=st.integers(1, 100), name=st.sampled_from(USERS))
    def record(self, amount: int, name: str) -> None:
        self.breaker.record(Decimal(amount) / 10**9, labels={"user": name})
        day = self.day()
        self.add(day, (f"{day:%Y-%m}", name), amount)

    @rule(hours=st.integers(-100, 30))
    def step(self, hours: int) -> None:
        self.clock += timedelta(hours=hours, minutes=hours % 60)

    @rule(days=st.sampled_from([1, 3, 31, 210]))
    def let_days_pass(self, days: int) -> None:
        self.clock += timedelta(days=days)

    @invariant()
    def it_says_what_is_so(self) -> None:
        used = self.days.get(self.day(), 0)
        assert to_nano(self.breaker.spent_today_usd) == used
        assert self.breaker.state is (CircuitState.CLOSED if used < DAILY else CircuitState.OPEN)
        left = self.breaker.remaining_today_usd
        assert left is not None
        assert to_nano(left) == max(DAILY - used, 0)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [(datetime(2026, 3, 29, tzinfo=ROME), 23), (datetime(2026, 10, 25, tzinfo=ROME), 25)],
)
def test_a_day_of_23_or_25_hours_has_one_budget(midnight: datetime, hours: int) -> None:
    clock = [midnight.astimezone(UTC)]
    config = CircuitBreakerConfig(daily_budget_usd=1, time_zone="Europe/Rome")
    breaker = CostCircuitBreaker(config, now=lambda: clock[0])
    granted = 0
    for quarter in range(4 * hours):
        clock[0] = midnight.astimezone(UTC) + timedelta(minutes=15 * quarter)
        try:
            breaker.reserve("0.1")
            granted += 1
        except DailyBudgetExceeded:
            pass
    assert granted == 10
    clock[0] = midnight.astimezone(UTC) + timedelta(hours=hours)
    breaker.reserve(1)
