"""What a scrape shows, as Prometheus' own parser reads it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import andon_prometheus
from andon import Budget, Client, Locality, Price, PrivacyViolation, ServerError
from andon.chat import Reconnected
from andon.testing import ObserverConformance, ScriptedBackend, plugin_with
from andon_prometheus import Prometheus, watch_budgets

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token


class TestConformance(ObserverConformance):
    plugin = andon_prometheus
    name = "prometheus"


class Scrape:
    """What a registry shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = prometheus_client.generate_latest(registry).decode()
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __getitem__(self, name: str) -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels.values()): sample.value
            for sample in self.samples
            if sample.name == name
        }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def client(registry: CollectorRegistry, *, most_models: int = 100, **backends: Any) -> Client:
    plugin = plugin_with(locality=Locality.PUBLIC, **backends)
    counting = Prometheus(registry=registry, most_models=most_models)
    prices = dict.fromkeys((f"{name}:*" for name in backends), DOLLAR)
    return Client(discover=False, plugins=[plugin, counting], prices=prices, daily_budget_usd=100)


def test_answers_failures_and_what_they_cost(registry: CollectorRegistry) -> None:
    down, sound = ScriptedBackend([ServerError("down")]), ScriptedBackend(["a", "b"])
    asking = client(registry, down=down, sound=sound)
    asking.chat(["down:m", "sound:m"], "hi there", max_tokens=5)
    with pytest.raises(ServerError):
        asking.chat("down:m", "hi", max_tokens=5)
    stream = asking.stream("sound:m", "hi", max_tokens=5)
    next(stream)
    assert Scrape(registry)["andon_requests_in_progress"] == {(): 1}
    stream.close()
    seen = Scrape(registry)
    assert seen["andon_requests_total"] == {
        ("sound", "m", "answered"): 1,
        ("down", "m", "failed"): 1,
        ("sound", "m", "abandoned"): 1,
    }
    assert seen["andon_attempts_total"] == {
        ("down", "m", "ServerError"): 2,
        ("sound", "m", "answered"): 1,
        ("sound", "m", "cancelled"): 1,
    }
    assert seen["andon_requests_in_progress"] == {(): 0}
    assert seen["andon_request_seconds_count"] == seen["andon_requests_total"]
    assert seen["andon_first_token_seconds_count"] == {("sound", "m"): 2}
    assert seen["andon_tokens_total"]["sound", "input", "m"] >= 2
    cost = sum(seen["andon_cost_usd_total"].values())
    assert cost == float(asking.spent_today_usd) > 0


def test_connections_that_were_made_anew(registry: CollectorRegistry) -> None:
    broke = Reconnected(reason="pulled")
    asking = client(registry, one=ScriptedBackend(["a", broke, "b", broke, "c"]))
    list(asking.stream("one:m", "hi", max_tokens=5))
    assert Scrape(registry)["andon_reconnections_total"] == {("one", "m"): 2}


def test_a_refusal_has_no_backend(registry: CollectorRegistry) -> None:
    plugin = plugin_with(locality=Locality.PUBLIC, cloud=ScriptedBackend())
    near = Client(
        discover=False, plugins=[plugin, Prometheus(registry=registry)], privacy="sovereign"
    )
    with pytest.raises(PrivacyViolation):
        near.chat("cloud:m", "hi")
    assert Scrape(registry)["andon_requests_total"] == {("none", "none", "failed"): 1}


def test_the_number_of_series_is_bounded(registry: CollectorRegistry) -> None:
    asking = client(registry, most_models=3, one=ScriptedBackend(["a"]))

    def ask(number: int) -> None:
        asking.chat(f"one:model-{number}", "hi", max_tokens=2)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests = Scrape(registry)["andon_requests_total"]
    assert len(requests) == 4
    assert requests["one", "other", "answered"] == 27
    assert sum(requests.values()) == 30


def test_labels_of_requests_are_left_out(registry: CollectorRegistry) -> None:
    client(registry, one=ScriptedBackend()).chat(
        "one:m", "a secret", max_tokens=5, labels={"user": "ada"}
    )
    text = prometheus_client.generate_latest(registry).decode()
    assert "ada" not in text and "secret" not in text


def test_two_clients_count_in_one_registry(registry: CollectorRegistry) -> None:
    for _ in range(2):
        client(registry, one=ScriptedBackend()).chat("one:m", "hi", max_tokens=5)
    assert Scrape(registry)["andon_requests_total"] == {("one", "m", "answered"): 2}


def test_budgets(registry: CollectorRegistry) -> None:
    plugin = plugin_with(locality=Locality.PUBLIC, one=ScriptedBackend(["a"]))
    asking = Client(
        discover=False, plugins=[plugin], prices={"one:m": DOLLAR}, daily_budget_usd=100,
        budgets={"team": Budget(limit_usd=Decimal(40), match={"team": "sky"})},
    )  # fmt: skip
    watch_budgets(asking, registry=registry)
    assert Scrape(registry)["andon_budget_limit_usd"][("all",)] == 100
    asking.chat("one:m", "hi", max_tokens=5, labels={"team": "sky"})
    seen = Scrape(registry)
    assert seen["andon_budget_used_usd"][("all",)] == 2
    assert seen["andon_budget_used_usd"][("team",)] == 2
    assert seen["andon_budget_limit_usd"][("team",)] == 40


def test_a_registry_is_not_kept_alive() -> None:
    registry = CollectorRegistry()
    client(registry, one=ScriptedBackend()).chat("one:m", "hi", max_tokens=5)
    seen = weakref.ref(registry)
    del registry
    gc.collect()
    assert seen() is None


@contextmanager
def serving(registry: CollectorRegistry) -> Iterator[str]:
    server, thread = prometheus_client.start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_over_http(registry: CollectorRegistry) -> None:
    client(registry, one=ScriptedBackend()).chat("one:m", "hi", max_tokens=5)
    with serving(registry) as url, urlopen(url) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    assert "andon_requests" in {family.name for family in families}
