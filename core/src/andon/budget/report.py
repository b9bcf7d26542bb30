"""What was spent, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from andon.budget.budgets import ALL, Budget
from andon.budget.ledger import Balance, Ledger, Spending
from andon.pricing import to_nano, to_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpending:
    """What one model cost today.

    :param backend: the backend's name.
    :param model: the model's name there.
    :param requests: how many requests.
    :param spent_usd: what was spent, in US dollars.
    :param held_usd: what is held for requests under way, in US dollars.
    """

    backend: str
    model: str
    requests: int
    spent_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpending:
    """What one backend cost today, all of its models together.

    :param backend: its name.
    :param requests: how many requests.
    :param spent_usd: what was spent, in US dollars.
    :param held_usd: what is held for requests under way, in US dollars.
    """

    backend: str
    requests: int
    spent_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """How far a budget is used up.

    :param name: its name, with the key's or user's where each has a budget of its own; ``all`` is
        the daily budget.
    :param period: the period that pays, as ``2026-01-31``.
    :param used_usd: what is spent or held, in US dollars.
    :param limit_usd: the budget, in US dollars, or None for no limit.
    """

    name: str
    period: str
    used_usd: Decimal
    limit_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendReport:
    """What was spent.

    :param day: today, as ``2026-01-31``.
    :param models: what each model cost today, the dearest first.
    :param budgets: how far each budget is used up, the daily one first.
    :param days: what the last days cost, in US dollars, by day, today last.
    """

    day: str
    models: Sequence[ModelSpending]
    budgets: Sequence[BudgetState]
    days: Mapping[str, Decimal]

    @property
    def backends(self) -> Sequence[BackendSpending]:
        """What each backend cost today, the dearest first."""
        names = dict.fromkeys(row.backend for row in self.models)
        rows = [_together(name, self.models) for name in names]
        return sorted(rows, key=lambda row: (-row.spent_usd - row.held_usd, row.backend))

    @property
    def today_usd(self) -> Decimal:
        """What is spent or held today, in US dollars."""
        return self.days[self.day]


def _together(backend: str, models: Sequence[ModelSpending]) -> BackendSpending:
    rows = [row for row in models if row.backend == backend]
    return BackendSpending(
        backend=backend,
        requests=sum(row.requests for row in rows),
        spent_usd=sum((row.spent_usd for row in rows), Decimal(0)),
        held_usd=sum((row.held_usd for row in rows), Decimal(0)),
    )


def report(
    ledger: Ledger,
    *,
    now: float,
    periods: Mapping[str, str],
    daily_limit: int | None,
    budgets: Mapping[str, Budget],
    days: int,
) -> SpendReport:
    """Return what was spent.

    :param ledger: where spending is kept.
    :param now: seconds since 1970.
    :param periods: the names of the current day, month and ``ever``.
    :param daily_limit: the day's budget in nano-dollars, or None.
    :param budgets: the budgets by name.
    :param days: how many days to go back, today included.
    """
    today = periods["day"]
    names = [
        (date.fromisoformat(today) - timedelta(days=back)).isoformat()
        for back in reversed(range(days))
    ]
    rows = ledger.spending(ALL, names[0], now)
    spent = dict.fromkeys(names, 0)
    for row in rows:
        if row.period in spent:
            spent[row.period] += row.settled + row.held
    return SpendReport(
        day=today,
        models=_models(row for row in rows if row.period == today),
        budgets=_budgets(ledger, now, periods, daily_limit, budgets),
        days={name: to_usd(amount) for name, amount in spent.items()},
    )


def _models(rows: Iterable[Spending]) -> Sequence[ModelSpending]:
    dearest_first = sorted(rows, key=lambda row: (-row.settled - row.held, row.backend, row.model))
    return [
        ModelSpending(
            backend=row.backend,
            model=row.model,
            requests=row.requests,
            spent_usd=to_usd(row.settled),
            held_usd=to_usd(row.held),
        )
        for row in dearest_first
    ]


def _budgets(
    ledger: Ledger,
    now: float,
    periods: Mapping[str, str],
    daily_limit: int | None,
    budgets: Mapping[str, Budget],
) -> Sequence[BudgetState]:
    used = ledger.balance(ALL, periods["day"], now).used
    daily = None if daily_limit is None else to_usd(daily_limit)
    states = [BudgetState(name=ALL, period=periods["day"], used_usd=to_usd(used), limit_usd=daily)]
    balances = {period: ledger.balances(period, now) for period in set(periods.values())}
    for name, budget in budgets.items():
        period = periods[budget.period]
        # One budget for all is there before anything was spent; those of each user come with them.
        unused = {name: Balance(0, 0)} if budget.per is None else {}
        for account, balance in {**unused, **balances[period]}.items():
            if account == name or account.startswith(f"{name}/"):
                states.append(
                    BudgetState(
                        name=account,
                        period=period,
                        used_usd=to_usd(balance.used),
                        limit_usd=to_usd(to_nano(budget.limit_usd)),
                    )
                )
    return states
