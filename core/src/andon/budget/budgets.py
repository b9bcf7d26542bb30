"""Budgets by name: how much, in which period, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from andon.budget.ledger import Charge
from andon.errors import InvalidRequestError, SettingsError
from andon.pricing import Amount, to_nano

#: The account that every request is charged to.
ALL = "all"

Period = Literal["day", "month", "ever"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Most that some requests may cost in a period.

    :param limit_usd: US dollars.
    :param period: ``"day"``, ``"month"``, or ``"ever"`` for a budget that is never renewed.
    :param per: a label; each of its values has a budget of its own: ``"user"``, ``"key"``,
        ``"backend"``, ``"model"``, or a label of your own. None is one budget for all together.
    :param match: labels and their values that a request must have to fall under the budget.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    limit_usd: Decimal
    period: Period = "day"
    per: str | None = None
    match: dict[str, str] = field(default_factory=dict)

    def account(self, name: str, labels: Mapping[str, str]) -> str | None:
        """Return the account that a request with these labels is charged to, or None.

        :param name: the budget's name.
        :param labels: the request's labels.
        """
        if any(labels.get(label) != value for label, value in self.match.items()):
            return None
        return name if self.per is None else f"{name}/{labels.get(self.per, '')}"


class Calendar:
    """Which day and month it is; once a new one has begun, an older one does not come again."""

    def __init__(self) -> None:
        self._newest: Mapping[Period, str] = {}
        self._day: date | None = None
        self._lock = threading.Lock()

    def periods(self, now: datetime) -> Mapping[Period, str]:
        """Return the names of the periods to which a moment belongs.

        :param now: the moment, in the time zone that counts.
        """
        day = now.date()
        with self._lock:
            # A clock that is set back must not open yesterday's budget again.
            if self._day is None or day > self._day:
                self._day = day
                self._newest = {"day": f"{day:%Y-%m-%d}", "month": f"{day:%Y-%m}", "ever": "ever"}
            return self._newest


def charges(
    daily: int | None,
    budgets: Mapping[str, Budget],
    labels: Mapping[str, str],
    periods: Mapping[Period, str],
) -> Sequence[Charge]:
    """Return what a request is charged to: the day, and every budget that it falls under.

    :param daily: the day's budget in nano-dollars, or None for no limit.
    :param budgets: the budgets by name.
    :param labels: the request's labels.
    :param periods: the names of the current periods.
    """
    paying = [Charge(ALL, periods["day"], daily)]
    for name, budget in budgets.items():
        account = budget.account(name, labels)
        if account is not None:
            paying.append(Charge(account, periods[budget.period], to_nano(budget.limit_usd)))
    return paying


def check_budgets(budgets: Mapping[str, Budget]) -> None:
    """Check budgets that a user gave.

    :raises SettingsError: a limit or a name cannot be used.
    """
    for name, budget in budgets.items():
        if name == ALL or not name or "/" in name:
            raise SettingsError(f"a budget cannot be called {name!r}; choose another name")
        check_amount(budget.limit_usd, f"limit_usd of the budget {name!r}")


def check_amount(usd: Amount | None, what: str) -> None:
    """Check an amount of US dollars that a user set; None is no limit.

    :raises SettingsError: it is none.
    """
    try:
        to_nano(0 if usd is None else usd, what)
    except InvalidRequestError as error:
        raise SettingsError(str(error)) from None
