"""The circuit breaker that stops spending before it passes a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from andon.budget.ledger import Ledger, MemoryLedger
from andon.errors import DailyBudgetExceeded, RequestTooExpensive, SettingsError
from andon.pricing import to_nano, to_usd

Amount = Decimal | int | float | str


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """What may be spent, in US dollars. None is no limit.

    :param daily_budget_usd: most that one day may cost.
    :param warning_threshold: share of the daily budget at which to warn, from 0 to 1.
    :param max_request_cost_usd: most that one request may cost.
    """

    daily_budget_usd: Amount | None = None
    warning_threshold: float = 0.8
    max_request_cost_usd: Amount | None = None

    def __post_init__(self) -> None:
        for name in ("daily_budget_usd", "max_request_cost_usd"):
            value = getattr(self, name)
            if value is not None and not Decimal(str(value)) >= 0:
                raise SettingsError(f"{name} must be at least 0 US dollars, not {value}")
        if not 0 <= self.warning_threshold <= 1:
            raise SettingsError(
                f"warning_threshold must be from 0 to 1, not {self.warning_threshold}"
            )


class CostCircuitBreaker:
    """Grants spending by reservation, so that concurrent requests cannot overspend together.

    :param config: the limits.
    :param ledger: where spending is kept; in memory by default.
    :param now: the clock; its local date decides which day pays.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        ledger: Ledger | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.config = config or CircuitBreakerConfig()
        self.ledger: Ledger = ledger or MemoryLedger()
        self._now = now
        self._daily = _limit(self.config.daily_budget_usd)
        self._per_request = _limit(self.config.max_request_cost_usd)

    def reserve(self, cost_usd: Amount) -> Reservation:
        """Hold an amount for a request under way.

        :param cost_usd: the most that the request can cost, in US dollars.
        :raises RequestTooExpensive: one request may not cost so much.
        :raises DailyBudgetExceeded: the day has no room for it.
        """
        return self.reserve_nano(to_nano(cost_usd))

    def reserve_nano(self, amount: int) -> Reservation:
        """Hold an amount of nano-dollars; see :meth:`reserve`."""
        if self._per_request is not None and amount > self._per_request:
            raise RequestTooExpensive(
                f"the request can cost up to ${to_usd(amount)}, and one request may cost "
                f"${to_usd(self._per_request)}; lower max_tokens, or raise max_request_cost_usd"
            )
        day = self._now().date().isoformat()
        hold = self.ledger.reserve(day, amount, self._daily)
        if hold is None:
            raise DailyBudgetExceeded(
                f"the request can cost up to ${to_usd(amount)}, and of the daily budget of "
                f"${to_usd(self._daily or 0)} ${to_usd(self.ledger.used(day))} are spent or "
                "held; lower max_tokens, or raise daily_budget_usd"
            )
        return Reservation(self.ledger, hold, amount)

    def check(self, cost_usd: Amount) -> None:
        """Raise what :meth:`reserve` would raise, and hold nothing."""
        self.reserve(cost_usd).cancel()

    def record(self, cost_usd: Amount) -> None:
        """Add what was spent without asking first; it counts even where it passes the budget."""
        amount = to_nano(cost_usd)
        hold = self.ledger.reserve(self._now().date().isoformat(), amount, None)
        if hold is not None:
            self.ledger.settle(hold, amount)

    @property
    def spent_today_usd(self) -> Decimal:
        """What is spent or held today, in US dollars."""
        return to_usd(self.ledger.used(self._now().date().isoformat()))


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount held for one request, until it is settled or cancelled.

    :param ledger: where it is held.
    :param hold: its number there.
    :param amount: nano-dollars held.
    """

    ledger: Ledger
    hold: int
    amount: int

    def settle(self, cost_usd: Amount) -> None:
        """Pay what the request really cost, in US dollars."""
        self.settle_nano(to_nano(cost_usd))

    def settle_nano(self, amount: int) -> None:
        """Pay what the request really cost, in nano-dollars."""
        self.ledger.settle(self.hold, amount)

    def cancel(self) -> None:
        """Give the whole amount back; the request cost nothing."""
        self.settle_nano(0)


def _limit(usd: Amount | None) -> int | None:
    return None if usd is None else to_nano(usd)
