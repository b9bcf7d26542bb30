"""How long a caller waits for a token, and that signs of life are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from andon import Client, Locality, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.errors import OverloadedError, RequestTimeout
from andon.settings import Settings
from andon.testing.server import LAST_CHUNK, Peer, ScriptedServer, Step, chunk, respond, stream_head
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

STREAM = stream_head({"content-type": "text/event-stream"})


def event(text: str, finish: str | None = None) -> bytes:
    """Return a piece of an answer as its server writes it."""
    delta = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    return chunk(f"data: {json.dumps(delta)}\n\n".encode())


ANSWER: list[Step] = [
    STREAM,
    event("one "),
    event("two", "stop"),
    chunk(b"data: [DONE]\n\n"),
    LAST_CHUNK,
]


def pings(peer: Peer) -> None:
    """Show signs of life until the caller leaves."""
    while not peer.server.client_left.wait(0.01):
        peer.send(chunk(b": ping\n\n"))


@pytest.fixture
def servers() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with (
        ScriptedServer(lambda request: ANSWER) as first,
        ScriptedServer(lambda request: ANSWER) as second,
    ):
        yield first, second


@pytest.fixture
def client(servers: tuple[ScriptedServer, ScriptedServer]) -> Iterator[Client]:
    spec = http_backend_spec(
        "some",
        EndpointSpec(base_url=servers[0].url, locality=Locality.LOCAL),
        openai_dialect(Quirks()),
    )
    plugin = ModuleType("some_plugin")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    endpoints: dict[str, dict[str, Any]] = {
        "first": {"backend": "some", "base_url": servers[0].url},
        "second": {"backend": "some", "base_url": servers[1].url},
    }
    settings = Settings(endpoints=endpoints)
    with Client(discover=False, plugins=[plugin], settings=settings) as client:
        yield client


def text_of(stream: Any) -> str:
    return "".join(delta.text for delta in stream)


def test_a_ping_is_no_first_token(client: Client, servers: Any) -> None:
    servers[0].says([STREAM, pings])
    stream = client.stream(["first:m", "second:m"], "hi", first_token_timeout=0.1)
    assert text_of(stream) == "one two"
    assert stream.response.backend == "second"
    [silent, _] = stream.response.attempts
    assert isinstance(silent.error, RequestTimeout)
    assert "signs of life" in str(silent.error)


def test_a_ping_is_no_token(client: Client, servers: Any) -> None:
    servers[0].says([STREAM, event("one "), pings])
    stream = client.stream(["first:m", "second:m"], "hi", stall_timeout=0.1)
    deltas = list(stream)
    assert text_of(deltas) == "one two"
    [failover] = [delta.failover for delta in deltas if delta.failover]
    assert failover.mode == "replay"


def test_a_silent_server_is_asked_once(client: Client, servers: Any) -> None:
    servers[0].says([STREAM, lambda peer: peer.server.client_left.wait(30)])
    stream = client.stream(["first:m", "second:m"], "hi", first_token_timeout=0.1)
    assert text_of(stream) == "one two"
    assert len(servers[0].requests) == 1


def test_an_answer_that_is_asked_for_whole_has_no_first_token(client: Client, servers: Any) -> None:
    body = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}

    def late(peer: Peer) -> None:
        peer.server.client_left.wait(0.2)
        peer.send(respond(200, json.dumps(body).encode(), {"content-type": "application/json"}))

    servers[0].says([late])
    answer = client.chat(["first:m", "second:m"], "hi", first_token_timeout=0.05)
    assert (answer.text, answer.backend) == ("whole", "first")


def test_a_probe_is_one_request(client: Client, servers: Any) -> None:
    busy = respond(503, b"{}", {"content-type": "application/json", "retry-after": "0"})
    servers[0].says(*[[busy]] * 20)
    for _ in range(3):
        assert text_of(client.stream(["first:m", "second:m"], "hi")) == "one two"
    health = client._place.house.health
    assert not health.admit("first:m", 0.0)
    sent = len(servers[0].requests)
    # Its rest is over: one request tries it, without the retries of every day.
    for breaker in health._breakers.values():
        breaker.open_until = 0.0
    stream = client.stream(["first:m", "second:m"], "hi")
    assert text_of(stream) == "one two"
    assert len(servers[0].requests) == sent + 1
    assert isinstance(stream.response.attempts[0].error, OverloadedError)
