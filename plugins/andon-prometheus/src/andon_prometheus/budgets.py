"""Budgets, read from the ledger when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from andon import BudgetError, CostCircuitBreaker
from andon.budget import BudgetState


class Budgets(Collector):
    """Gives how much of each budget is used.

    :param breaker: grants the spending.
    :param most: how many budgets are shown.
    """

    def __init__(self, breaker: CostCircuitBreaker, most: int) -> None:
        self._breaker = breaker
        self._most = most

    def describe(self) -> Iterator[Metric]:
        """Give the names, without asking the ledger."""
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        """Give what is used and allowed; nothing while the ledger cannot be reached."""
        used, limit = _families()
        try:
            budgets = self._breaker.report(days=1).budgets
        except BudgetError:
            budgets = ()
        for state in sorted(budgets, key=_part, reverse=True)[: self._most]:
            used.add_metric([state.name], float(state.used_usd))
            if state.limit_usd is not None:
                limit.add_metric([state.name], float(state.limit_usd))
        yield from (used, limit)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    used = GaugeMetricFamily(
        "andon_budget_used_usd", "What is spent or held, in US dollars.", labels=["budget"]
    )
    limit = GaugeMetricFamily(
        "andon_budget_limit_usd", "The budget, in US dollars.", labels=["budget"]
    )
    return used, limit


def _part(state: BudgetState) -> float:
    return float(state.used_usd / state.limit_usd) if state.limit_usd else 0.0
