"""What andon-ollama says of its backend, and what really goes to its server and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

import andon_ollama
from andon import AsyncClient, Client, Locality, PrivacyViolation, SettingsError
from andon.backends.http_backend import HTTPBackend
from andon.specs import BackendContext, BackendSpec
from andon.testing.provider import SampleAnswer
from andon.testing.providers.ollama import OllamaProvider
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, respond, send_reply
from andon_ollama import ENDPOINT
from andon_ollama.host import parse_host

ANSWER = SampleAnswer()
PROVIDER = OllamaProvider()
SPEC: BackendSpec = next(iter(andon_ollama.andon_register_backends()))


def script(request: ReceivedRequest) -> Script:
    routed = PROVIDER.route(request.method, request.target, request.body, ANSWER)
    if routed is not None:
        return [send_reply(routed)]
    if request.target == "/api/tags":
        return [send_reply(PROVIDER.models(["llama3.1:8b"]))]
    if not request.json()["stream"]:
        return [send_reply(PROVIDER.whole(ANSWER))]
    return [respond(200, PROVIDER.stream(ANSWER).body, "application/x-ndjson")]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as server:
        yield server


def test_the_facts() -> None:
    assert (SPEC.name, SPEC.locality) == ("ollama", Locality.LOCAL)
    assert ENDPOINT.base_url == "http://127.0.0.1:11434"
    assert (ENDPOINT.key_variables, ENDPOINT.key_optional) == (("OLLAMA_API_KEY",), True)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://[::]:8080", "http://[::1]:8080"),
        ("box", "http://box:11434"),
        ("box:1/path/", "http://box:1/path"),
        ("https://box", "https://box"),
        ("[::1]", "http://[::1]:11434"),
        ("ollama.com", "https://ollama.com"),
    ],
)
def test_hosts(host: str, url: str) -> None:
    assert parse_host(host) == url
    assert parse_host(f" {host} ") == url


@pytest.mark.parametrize("host", ["ftp://box", "user:password@box", "box:port", "a b", "box?q=1"])
def test_no_hosts(host: str) -> None:
    with pytest.raises(SettingsError, match="OLLAMA_HOST") as caught:
        parse_host(host)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "locality"),
    [
        ({}, Locality.LOCAL),
        ({"OLLAMA_HOST": "0.0.0.0:1234"}, Locality.LOCAL),
        ({"OLLAMA_HOST": "192.168.1.7"}, Locality.PUBLIC),
        ({"OLLAMA_HOST": "https://ollama.com"}, Locality.PUBLIC),
    ],
)
def test_where_the_data_goes(environment: dict[str, str], locality: Locality) -> None:
    assert SPEC.locate is not None
    assert SPEC.locate(BackendContext(environment=environment)) is locality


def test_the_environment_names_server_and_key(server: ScriptedServer) -> None:
    host = server.url.removeprefix("http://")
    environment = {"OLLAMA_HOST": host, "OLLAMA_API_KEY": "secret-key"}
    backend = SPEC.create(BackendContext(environment=environment))
    assert isinstance(backend, HTTPBackend)
    assert [card.name for card in backend.list_models()] == ["llama3.1:8b"]
    backend.check_health()
    backend.close()
    assert {request.headers["authorization"] for request in server.requests} == {
        "Bearer secret-key"
    }


def test_chats_and_streams_in_threads(server: ScriptedServer) -> None:
    settings = {"ollama": {"base_url": server.url, "num_ctx": "8192", "keep_alive": "5m"}}
    with Client(discover=False, plugins=[andon_ollama], endpoints=settings) as client:
        reply = client.chat("ollama:llama3.1:8b", "Hello", max_tokens=9)
        pieces = [delta.text for delta in client.stream("ollama:llama3.1:8b", "Hello")]
        completed = client.complete("ollama:llama3.1:8b", "Once")
    assert (reply.text, reply.usage) == ("Hello, wörld!", ANSWER.usage)
    assert [piece for piece in pieces if piece] == list(ANSWER.text)
    assert completed.text == "Hello, wörld!"
    first, second, third = server.requests
    assert (first.method, first.target) == ("POST", "/api/chat")
    assert "authorization" not in first.headers
    assert first.json() == {
        "model": "llama3.1:8b",
        "messages": [{"role": "user", "content": "Hello"}],
        "options": {"num_predict": 9, "num_ctx": 8192},
        "keep_alive": "5m",
        "truncate": False,
        "stream": False,
    }
    assert second.json()["stream"] is True
    assert third.target == "/api/generate"


def test_chats_and_streams_in_tasks(server: ScriptedServer) -> None:
    async def run() -> tuple[str, str]:
        settings = {"ollama": {"base_url": server.url}}
        async with AsyncClient(
            discover=False, plugins=[andon_ollama], endpoints=settings
        ) as client:
            reply = await client.chat("ollama:m", "Hello")
            return reply.text, "".join([d.text async for d in client.stream("ollama:m", "Hello")])

    assert asyncio.run(run()) == ("Hello, wörld!", "Hello, wörld!")


@pytest.mark.parametrize("stream", [True, False])
def test_a_sovereign_client_asks_where_the_model_runs(server: ScriptedServer, stream: bool) -> None:
    with sovereign(server) as client:
        if stream:
            text = "".join(delta.text for delta in client.stream("ollama:m", "secret"))
        else:
            text = client.chat("ollama:m", "secret").text
    assert text == "Hello, wörld!"
    assert [request.target for request in server.requests] == ["/api/show", "/api/chat"]
    assert server.requests[0].json() == {"model": "m"}


def test_a_sovereign_client_sends_no_prompt_to_a_relay(server: ScriptedServer) -> None:
    alias = {"details": {}, "model_info": {}, "remote_host": "https://ollama.com:443"}
    server.says([respond(200, json.dumps(alias).encode())])
    with sovereign(server) as client:
        with pytest.raises(PrivacyViolation, match=r"ollama\.com"):
            client.chat("ollama:my-alias", "secret")
        with pytest.raises(PrivacyViolation):
            client.chat("ollama:kimi:cloud", "secret")
    assert [request.target for request in server.requests] == ["/api/show"]


def sovereign(server: ScriptedServer) -> Client:
    settings = {"ollama": {"base_url": server.url}}
    return Client(discover=False, plugins=[andon_ollama], endpoints=settings, privacy="sovereign")
