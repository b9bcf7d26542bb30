"""Where connections may lead: names are looked up once, and what they lead to is checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatRequest
from andon.errors import PrivacyViolation, TransportError
from andon.privacy.egress import EgressPolicy
from andon.specs import BackendContext, Locality
from andon.testing.server import ScriptedServer, respond
from andon.wire.endpoint import EndpointSpec
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.http_async import AsyncHTTPConnection
from andon.wire.openai_chat import OpenAIChat
from andon.wire.waits import Timeouts

NAME, FAR = "box.test", "203.0.113.9"
POLICY = EgressPolicy.of(names=[NAME])
WAITS = Timeouts(connect=5, first_byte=20)
Send = Callable[[str, ConnectionSettings], bytes]


def threads(url: str, settings: ConnectionSettings) -> bytes:
    connection = HTTPConnection(settings)
    try:
        with connection.send("POST", url, {}, b"{}", WAITS) as reply:
            return reply.read()
    finally:
        connection.close()


def tasks(url: str, settings: ConnectionSettings) -> bytes:
    async def run() -> bytes:
        connection = AsyncHTTPConnection(settings)
        try:
            async with await connection.send("POST", url, {}, b"{}", WAITS) as reply:
                return await reply.aread()
        finally:
            await connection.aclose()

    return asyncio.run(run())


def over_httpx2(send: Send) -> Send:
    def sent(url: str, settings: ConnectionSettings) -> bytes:
        pytest.importorskip("h2")
        return send(url, ConnectionSettings(tls=False, http2=True, egress=settings.egress))

    return sent


@pytest.fixture(
    params=[threads, tasks, over_httpx2(threads), over_httpx2(tasks)],
    ids=["threads", "asyncio", "threads over httpx2", "asyncio over httpx2"],
)
def send(request: pytest.FixtureRequest) -> Send:
    return request.param


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda request: [respond(200, b"fine")]) as server:
        yield server


class Resolver:
    """Answers for names with what it is told, one answer after the other; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Sequence[str]] = []
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, port: Any, *arguments: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name != NAME:
            return self._real(host, port, *arguments, **more)
        self.asked.append(name)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
        return [(socket.AF_INET, kind, protocol, "", (number, port)) for number in answer]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


def at(server: ScriptedServer, name: str = NAME) -> str:
    return server.url.replace("127.0.0.1", name)


NEAR = ConnectionSettings(tls=False, egress=POLICY)


def test_a_name_that_leads_elsewhere_the_second_time(
    server: ScriptedServer, resolver: Resolver, send: Send
) -> None:
    resolver.answers = [["127.0.0.1"], [FAR]]
    # Asked once for the check and the connection: it cannot change its mind in between.
    assert send(at(server), NEAR) == b"fine"
    assert resolver.asked == [NAME]
    assert server.requests[0].headers["host"] == at(server).removeprefix("http://")
    with pytest.raises(PrivacyViolation, match=rf"nothing was sent to {NAME}.*{FAR}.*\[network\]"):
        send(at(server), NEAR)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer", [[FAR], ["127.0.0.1", FAR], [FAR, "127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"]]
)
def test_every_address_of_a_name_must_be_near(
    server: ScriptedServer, resolver: Resolver, send: Send, answer: list[str]
) -> None:
    resolver.answers = [answer]
    with pytest.raises(PrivacyViolation):
        send(at(server), NEAR)
    assert server.connections == 0


def test_a_name_that_is_not_listed_is_not_even_looked_up(
    server: ScriptedServer, resolver: Resolver, send: Send
) -> None:
    resolver.answers = [["127.0.0.1"]]
    settings = ConnectionSettings(tls=False, egress=EgressPolicy())
    with pytest.raises(PrivacyViolation, match="was not looked up"):
        send(at(server), settings)
    assert (resolver.asked, server.connections) == ([], 0)


@pytest.mark.parametrize("host", [FAR, "[2001:db8::1]", "0x7f000001", "2130706433", "127.1"])
def test_a_far_number(send: Send, host: str) -> None:
    with pytest.raises(PrivacyViolation):
        send(f"http://{host}:9/", NEAR)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.9.1"])
def test_this_machine(server: ScriptedServer, send: Send, host: str) -> None:
    if host == "127.8.9.1":
        # Another address of this machine, where nobody listens at that port.
        with pytest.raises(TransportError):
            send("http://127.8.9.1:9/", NEAR)
    else:
        assert send(at(server, host), NEAR) == b"fine"


def test_a_proxy_has_to_be_near(server: ScriptedServer, resolver: Resolver) -> None:
    resolver.answers = [["127.0.0.1"], ["127.0.0.1"], [FAR]]
    near = ConnectionSettings(tls=False, egress=POLICY, proxy=at(server))
    assert threads(f"http://{NAME}:80/v1", near) == b"fine"
    # The proxy is not left to look the name up either.
    assert server.requests[0].target == "http://127.0.0.1/v1"
    for proxy in (at(server), f"http://{FAR}:9"):
        with pytest.raises(PrivacyViolation, match=FAR):
            threads(at(server), ConnectionSettings(tls=False, egress=POLICY, proxy=proxy))
    assert len(server.requests) == 1


# -- Which backends are checked -------------------------------------------------------------------


def ask(url: str, *, offline: bool = False, no_relay: bool = False) -> None:
    endpoint = EndpointSpec(base_url="https://tiny.example/v1", locality=Locality.PRIVATE)
    context = BackendContext(
        options={"base_url": url, "max_retries": 0},
        egress=POLICY,
        offline=offline,
        no_relay=no_relay,
    )
    backend = HTTPBackend("tiny", endpoint, OpenAIChat(), context)
    try:
        list(backend.stream(ChatRequest(model="m", prompt="p"), 5))
    finally:
        backend.close()


def test_what_is_near_by_its_name_must_be_near_by_its_address(
    server: ScriptedServer, resolver: Resolver
) -> None:
    resolver.answers = [["127.0.0.1", FAR]]
    for tier in ({"offline": True, "no_relay": True}, {"no_relay": True}):
        with pytest.raises(PrivacyViolation, match=FAR):
            ask(at(server), **tier)
    assert server.connections == 0


def test_without_a_tier_data_may_go_anywhere(server: ScriptedServer, resolver: Resolver) -> None:
    server.otherwise = lambda request: [respond(500, b"heard")]
    resolver.answers = [["127.0.0.1", "127.0.0.2"]]
    with pytest.raises(Exception, match="heard"):
        ask(at(server))


def test_a_provider_that_promises_privacy_is_where_its_plugin_says(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more)
    )
    server.otherwise = lambda request: [respond(500, b"heard")]
    with pytest.raises(Exception, match="heard"):
        ask(at(server, "tiny.example"), no_relay=True)
    with pytest.raises(PrivacyViolation):
        ask(at(server, "tiny.example"), offline=True, no_relay=True)
