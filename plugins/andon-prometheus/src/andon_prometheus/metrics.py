"""What is counted, in one registry."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

#: What a model is called that came too late for series of its own.
OTHER = "other"

_WHERE = ("backend", "model")
# From a local model's first token to a long answer's last.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)


class Metrics:
    """Every counter, histogram and gauge of a registry.

    :param registry: where they are registered.
    :param most_models: how many pairs of a backend and a model have series of their own.
    """

    def __init__(self, registry: CollectorRegistry, most_models: int) -> None:
        self._most_models = most_models
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        ends = (*_WHERE, "outcome")

        def counter(name: str, text: str, labels: tuple[str, ...] = _WHERE) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def seconds(name: str, text: str, labels: tuple[str, ...] = _WHERE) -> Histogram:
            return Histogram(name, text, labels, registry=registry, buckets=_SECONDS)

        self.requests = counter("andon_requests", "Requests.", ends)
        self.request_seconds = seconds("andon_request_seconds", "Seconds of a request.", ends)
        self.in_progress = Gauge(
            "andon_requests_in_progress", "Requests under way.", registry=registry
        )
        self.queue_seconds = seconds("andon_queue_seconds", "Seconds of waiting for a turn.", ())
        self.attempts = counter("andon_attempts", "Requests to one backend.", ends)
        self.first_token_seconds = seconds("andon_first_token_seconds", "Time to the first token.")
        self.tokens = counter("andon_tokens", "Tokens used.", (*_WHERE, "direction"))
        self.cost = counter("andon_cost_usd", "What was spent, in US dollars.")
        self.failovers = counter("andon_failovers", "Answers gone on with after a break.")
        self.reconnections = counter(
            "andon_reconnections", "Streams gone on with over another connection."
        )
        self.hedges = counter("andon_hedges", "Requests sent beside a slow one.")
        self.truncations = counter("andon_truncations", "Chats of which something was left out.")
        self.dropped = counter("andon_parameters_dropped", "Options that were left out.")

    def where(self, backend: str | None, model: str | None) -> tuple[str, str]:
        """Return a backend and a model as labels; the number of pairs is bounded.

        :param backend: its name, or None for nobody.
        :param model: the model's name there.
        """
        pair = (backend or "none", model or "none")
        if pair in self._known:
            return pair
        with self._lock:
            if len(self._known) >= self._most_models:
                return (pair[0], OTHER)
            self._known.add(pair)
        return pair


_made: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()
_making = threading.Lock()


def metrics_of(registry: CollectorRegistry | None, most_models: int) -> Metrics:
    """Return a registry's metrics, made at their first use: a name is registered only once.

    :param registry: the registry; the process's own where None.
    :param most_models: how many pairs of a backend and a model have series of their own, where
        nobody has said before.
    """
    registry = REGISTRY if registry is None else registry
    with _making:
        metrics = _made.get(registry)
        if metrics is None:
            metrics = _made[registry] = Metrics(registry, most_models)
        return metrics
