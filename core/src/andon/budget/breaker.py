"""The circuit breaker that stops spending before it passes a limit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from andon.budget.budgets import ALL, Budget, Calendar, charges, check_amount, check_budgets
from andon.budget.ledger import (
    Charge,
    Decision,
    Hold,
    Ledger,
    MemoryLedger,
    check_nano,
)
from andon.budget.report import SpendReport, report
from andon.errors import (
    BudgetExceeded,
    DailyBudgetExceeded,
    LedgerError,
    RequestTooExpensive,
    SettingsError,
)
from andon.pricing import Amount, to_nano, to_usd


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """What may be spent, in US dollars. None is no limit.

    :param daily_budget_usd: most that one day may cost.
    :param warning_threshold: share of a budget at which to warn, once a period, from 0 to 1.
    :param max_request_cost_usd: most that one request may cost.
    :param budgets: further budgets by name; a request must have room in each that it falls under.
    :param time_zone: the zone whose midnight begins a day, as ``Europe/Rome``; the machine's own
        where None.
    :param lease_seconds: seconds after which a request that never reported back counts as spent.
    :param ledger_failure: what to do while the ledger cannot be reached: ``"refuse"`` every
        request that costs money, or ``"allow"`` it uncounted.
    """

    daily_budget_usd: Amount | None = None
    warning_threshold: float = 0.8
    max_request_cost_usd: Amount | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    time_zone: str | None = None
    lease_seconds: float = 3600.0
    ledger_failure: Literal["refuse", "allow"] = "refuse"

    def __post_init__(self) -> None:
        for name in ("daily_budget_usd", "max_request_cost_usd"):
            check_amount(getattr(self, name), name)
        if not 0 <= self.warning_threshold <= 1:
            raise SettingsError(
                f"warning_threshold must be from 0 to 1, not {self.warning_threshold}"
            )
        if not self.lease_seconds > 0:
            raise SettingsError(f"lease_seconds must be above 0, not {self.lease_seconds}")
        if self.ledger_failure not in {"refuse", "allow"}:
            raise SettingsError(
                f"ledger_failure must be refuse or allow, not {self.ledger_failure!r}"
            )
        check_budgets(self.budgets)


class CircuitState(StrEnum):
    """Whether money can be spent."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    """A budget has passed the threshold at which to warn.

    :param budget: its name; ``all`` is the daily budget.
    :param period: the period that pays, as ``2026-01-31``.
    :param used_usd: what is spent or held, in US dollars.
    :param limit_usd: the budget, in US dollars.
    """

    budget: str
    period: str
    used_usd: Decimal
    limit_usd: Decimal


class CostCircuitBreaker:
    """Grants spending by reservation, so that concurrent requests cannot overspend together.

    It is closed while the daily budget has room, and open from then on until the next day begins
    or the budget is raised. A request that is refused changes nothing for the others.

    :param config: the limits.
    :param ledger: where spending is kept; in memory by default.
    :param now: the clock; naive times are the machine's own.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        ledger: Ledger | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.config = config or CircuitBreakerConfig()
        self.ledger: Ledger = MemoryLedger() if ledger is None else ledger
        self._now = now
        self._zone = _zone(self.config.time_zone)
        self._calendar = Calendar()
        self._name, self._numbers = os.urandom(12).hex(), itertools.count()
        self._daily = _limit(self.config.daily_budget_usd)
        self._per_request = _limit(self.config.max_request_cost_usd)

    def reserve(self, cost_usd: Amount, *, labels: Mapping[str, str] | None = None) -> Reservation:
        """Hold an amount for a request under way.

        :param cost_usd: the most that the request can cost, in US dollars.
        :param labels: who asks for what: ``user``, ``key``, ``backend``, ``model``, and labels of
            your own, for budgets that go by them.
        :raises RequestTooExpensive: one request may not cost so much.
        :raises BudgetExceeded: a budget has no room for it.
        :raises LedgerError: the ledger cannot be reached.
        """
        return self.reserve_nano(to_nano(cost_usd), labels=labels)

    def reserve_nano(self, amount: int, *, labels: Mapping[str, str] | None = None) -> Reservation:
        """Hold an amount of nano-dollars; see :meth:`reserve`."""
        self._check_request(amount)
        hold = self._hold(amount, labels or {})
        try:
            decision = self.ledger.reserve(hold)
            if decision.refused is not None:
                raise self._refusal(hold, decision.refused)
            warnings = self._warnings(hold, decision)
        except LedgerError:
            if self.config.ledger_failure == "refuse":
                raise
            return Reservation(MemoryLedger(), hold.id, amount)
        return Reservation(self.ledger, hold.id, amount, warnings)

    def check(self, cost_usd: Amount) -> None:
        """Raise what :meth:`reserve` would raise, and hold nothing."""
        self.reserve(cost_usd).cancel()

    def record(self, cost_usd: Amount, *, labels: Mapping[str, str] | None = None) -> None:
        """Add what was spent without asking first; it counts even where it passes the budget."""
        hold = self._hold(0, labels or {})
        self.ledger.reserve(hold)
        self.ledger.settle(hold.id, to_nano(cost_usd))

    @property
    def state(self) -> CircuitState:
        """Whether the daily budget has room."""
        if self._daily is None or self._used_today() < self._daily:
            return CircuitState.CLOSED
        return CircuitState.OPEN

    @property
    def spent_today_usd(self) -> Decimal:
        """What is spent or held today, in US dollars."""
        return to_usd(self._used_today())

    @property
    def remaining_today_usd(self) -> Decimal | None:
        """What the daily budget has left, in US dollars, or None where there is no limit."""
        return None if self._daily is None else to_usd(max(self._daily - self._used_today(), 0))

    def report(self, days: int = 14) -> SpendReport:
        """Return what was spent, by model, by budget and by day.

        :param days: how many days to go back, today included.
        :raises LedgerError: the ledger cannot be reached.
        """
        now = self._moment()
        return report(
            self.ledger,
            now=now.timestamp(),
            periods={str(name): period for name, period in self._calendar.periods(now).items()},
            daily_limit=self._daily,
            budgets=self.config.budgets,
            days=days,
        )

    def _used_today(self) -> int:
        now = self._moment()
        day = self._calendar.periods(now)["day"]
        return self.ledger.balance(ALL, day, now.timestamp()).used

    def _moment(self) -> datetime:
        # Read once for each operation: its day and its times then belong together.
        return self._now().astimezone(self._zone)

    def _hold(self, amount: int, labels: Mapping[str, str]) -> Hold:
        now = self._moment()
        created = now.timestamp()
        paying = charges(self._daily, self.config.budgets, labels, self._calendar.periods(now))
        return Hold(
            # A forked process counts on from the same number: its own number tells them apart.
            id=f"{self._name}-{os.getpid():x}-{next(self._numbers):x}",
            amount=amount,
            charges=tuple(paying),
            created=created,
            expires=created + self.config.lease_seconds,
            backend=labels.get("backend", ""),
            model=labels.get("model", ""),
        )

    def _check_request(self, amount: int) -> None:
        if self._per_request is not None and amount > self._per_request:
            raise RequestTooExpensive(
                f"the request can cost up to ${to_usd(amount)}, and one request may cost "
                f"${to_usd(self._per_request)}; lower max_tokens, or raise max_request_cost_usd"
            )

    def _refusal(self, hold: Hold, account: str) -> BudgetExceeded:
        [charge] = [charge for charge in hold.charges if charge.account == account]
        used = self.ledger.balance(account, charge.period, hold.created).used
        said = (
            f"the request can cost up to ${to_usd(hold.amount)}, and of the {{budget}} of "
            f"${to_usd(charge.limit or 0)} ${to_usd(used)} are spent or held; lower max_tokens, "
            "or raise {setting}"
        )
        if account == ALL:
            text = said.format(budget="daily budget", setting="daily_budget_usd")
            return DailyBudgetExceeded(text, budget=ALL)
        name = account.partition("/")[0]
        text = said.format(budget=f"budget {account!r}", setting=f"budgets.{name}.limit_usd")
        return BudgetExceeded(text, budget=account)

    def _warnings(self, hold: Hold, decision: Decision) -> tuple[BudgetWarning, ...]:
        found = (
            self._warning(charge, used)
            for charge, used in zip(hold.charges, decision.used, strict=False)
        )
        return tuple(warning for warning in found if warning is not None)

    def _warning(self, charge: Charge, used: int) -> BudgetWarning | None:
        account, period, limit = charge
        if limit is None or not used:
            return None
        threshold = Decimal(str(self.config.warning_threshold))
        if used < threshold * limit:
            return None
        if not self.ledger.mark(account, period, f"warned at {threshold} of {limit}"):
            return None
        return BudgetWarning(account, period, to_usd(used), to_usd(limit))


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount held for one request, until it is settled or cancelled.

    :param ledger: where it is held.
    :param hold: its name there.
    :param amount: nano-dollars held.
    :param warnings: budgets that it took past the threshold at which to warn.
    """

    ledger: Ledger
    hold: str
    amount: int
    warnings: tuple[BudgetWarning, ...] = ()

    def settle(self, cost_usd: Amount) -> None:
        """Pay what the request really cost, in US dollars."""
        self.settle_nano(to_nano(cost_usd))

    def settle_nano(self, amount: int) -> None:
        """Pay what the request really cost, in nano-dollars."""
        check_nano(amount)
        self.ledger.settle(self.hold, amount)

    def cancel(self) -> None:
        """Give the whole amount back; the request cost nothing."""
        self.settle_nano(0)


def _limit(usd: Amount | None) -> int | None:
    return None if usd is None else to_nano(usd)


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"there is no time zone {name!r}; name one like Europe/Rome") from error
