"""Counters and histograms for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from andon import ObserverSpec, hookimpl

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from andon import AsyncClient, Client
    from andon.events import Event
    from andon_prometheus.observer import Observer

__all__ = ["Prometheus", "andon_register_observers", "watch_budgets"]

#: How many pairs of a backend and a model have series of their own.
MOST_MODELS = 100

#: How many budgets are shown, those with the largest part used.
MOST_BUDGETS = 100


class Prometheus:
    """The plugin with settings of its own, for ``Client(plugins=[Prometheus()])``.

    :param registry: where it counts; ``prometheus_client.REGISTRY`` where None. Several clients
        may count in one.
    :param most_models: how many pairs of a backend and a model have series of their own.
    """

    def __init__(
        self, *, registry: CollectorRegistry | None = None, most_models: int = MOST_MODELS
    ) -> None:
        self._registry = registry
        self._most_models = most_models

    @hookimpl
    def andon_register_observers(self) -> Sequence[ObserverSpec]:
        """Offer an observer, which keeps the requests of one client apart from another's."""
        made: list[Observer] = []
        lock = threading.Lock()

        def observe(event: Event) -> None:
            if not made:
                with lock:
                    made.extend([] if made else [self._observer()])
            made[0].observe(event)

        return [ObserverSpec(name="prometheus", observe=observe)]

    def _observer(self) -> Observer:
        # At the first event, since it imports prometheus_client.
        from andon_prometheus.metrics import metrics_of
        from andon_prometheus.observer import Observer

        return Observer(metrics_of(self._registry, self._most_models))


def watch_budgets(
    client: Client | AsyncClient,
    *,
    registry: CollectorRegistry | None = None,
    most: int = MOST_BUDGETS,
) -> None:
    """Show a client's budgets, read from its ledger at each scrape.

    :param client: the client; one of several that share a ledger.
    :param registry: where they are shown; ``prometheus_client.REGISTRY`` where None.
    :param most: how many are shown, those with the largest part used.
    """
    from prometheus_client import REGISTRY

    from andon_prometheus.budgets import Budgets

    (registry or REGISTRY).register(Budgets(client.breaker, most))


@hookimpl
def andon_register_observers() -> Sequence[ObserverSpec]:
    """Offer an observer that counts in the process's own registry."""
    specs: Sequence[ObserverSpec] = Prometheus().andon_register_observers()
    return specs
