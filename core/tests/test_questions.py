"""Questions besides the chat: models, health and token counts, in both colours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from andon import (
    AsyncClient,
    Client,
    ConfigurationError,
    Exactness,
    Locality,
    ModelCard,
    ModelProfile,
    NotFoundError,
    PrivacyViolation,
    ServerError,
    ServingBackend,
    TokenCount,
    UnknownBackendError,
    hookimpl,
)
from andon.backends.http_backend import http_backend_spec
from andon.specs import BackendContext
from andon.testing import ScriptedBackend, plugin_with
from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OpenAIChat


class Asking(OpenAIChat):
    """A dialect whose server can be asked everything, at paths of its own."""

    def list_models(self) -> Query[Sequence[ModelCard]] | None:
        return Query(HTTPCall(path="/models", method="GET"), _cards)

    def health(self) -> Query[None] | None:
        return Query(HTTPCall(path="/health", method="GET"), lambda reply: None)

    def count_tokens(self, request: Any, profile: ModelProfile) -> Query[int] | None:
        return Query(HTTPCall(path="/count", body=b"{}"), lambda reply: json.loads(reply.body)["n"])


def _cards(reply: HTTPReply) -> Sequence[ModelCard]:
    return [ModelCard(name=name) for name in json.loads(reply.body)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    replies: ClassVar[dict[str, tuple[int, bytes]]] = {}

    def do_GET(self) -> None:
        status, body = self.replies.get(self.path, (404, b'{"error": "nothing here"}'))
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    replies: ClassVar[dict[str, tuple[int, bytes]]] = {}
    handler = type("Replying", (Handler,), {"replies": replies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", replies
        httpd.shutdown()


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: tuple[str, Any]) -> Ask:
    """Ask a client of either colour by a method's name."""

    def ask(method: str, *arguments: Any, dialect: type[OpenAIChat] = Asking) -> Any:
        endpoint = EndpointSpec(base_url=server[0], locality=Locality.LOCAL)
        spec = http_backend_spec("up", endpoint, lambda context: dialect())
        plugins = [_plugin(spec), plugin_with(one=ScriptedBackend())]
        settings = {"up": {"max_retries": 0}}
        if request.param == "sync":
            with Client(discover=False, plugins=plugins, endpoints=settings) as client:
                return getattr(client, method)(*arguments)

        async def run() -> Any:
            async with AsyncClient(discover=False, plugins=plugins, endpoints=settings) as client:
                return await getattr(client, method)(*arguments)

        return asyncio.run(run())

    return ask


def _plugin(spec: Any) -> object:
    class Plugin:
        @hookimpl
        def andon_register_backends(self) -> list[Any]:
            return [spec]

    return Plugin()


def test_the_models_of_a_server(ask: Ask, server: tuple[str, Any]) -> None:
    server[1]["/models"] = (200, b'["a", "b"]')
    assert [card.name for card in ask("list_models", "up")] == ["a", "b"]


def test_its_health(ask: Ask, server: tuple[str, Any]) -> None:
    server[1]["/health"] = (200, b"{}")
    ask("check_health", "up")
    server[1]["/health"] = (503, b'{"error": {"message": "Loading model"}}')
    with pytest.raises(ServerError, match="Loading model"):
        ask("check_health", "up")


def test_a_token_count(ask: Ask, server: tuple[str, Any]) -> None:
    server[1]["/count"] = (200, b'{"n": 42}')
    assert ask("count_tokens", "up:m", "Hello") == TokenCount(42, Exactness.EXACT, "counted by up")


@pytest.mark.parametrize("body", [b"[1]", b"{}", b'"text"', b"not json", b"<html>proxy</html>"])
def test_an_answer_of_another_shape(ask: Ask, server: tuple[str, Any], body: bytes) -> None:
    server[1]["/count"] = (200, body)
    with pytest.raises(ServerError, match="no answer of a model"):
        ask("count_tokens", "up:m", "Hello")


def test_an_address_that_is_not_there(ask: Ask) -> None:
    with pytest.raises(NotFoundError, match="nothing here"):
        ask("list_models", "up")


def test_a_server_that_cannot_be_asked(ask: Ask) -> None:
    class Mute(OpenAIChat):
        def list_models(self) -> Query[Sequence[ModelCard]] | None:
            return None

        def health(self) -> Query[None] | None:
            return None

        def count_tokens(self, request: Any, profile: ModelProfile) -> Query[int] | None:
            return None

    for method, argument in [("list_models", "up"), ("check_health", "up")]:
        with pytest.raises(ConfigurationError, match="cannot be asked"):
            ask(method, argument, dialect=Mute)
    with pytest.raises(ConfigurationError, match="cannot be asked"):
        ask("count_tokens", "up:m", "Hello", dialect=Mute)


def test_backends_in_this_process_know_by_themselves(ask: Ask) -> None:
    assert [card.name for card in ask("list_models", "one")] == ["scripted"]
    ask("check_health", "one")
    assert ask("count_tokens", "one:m", "two words").tokens == 2


def test_the_privacy_tier_holds_for_questions() -> None:
    created: list[BackendContext] = []
    plugin = plugin_with(locality=Locality.PUBLIC, far=ScriptedBackend())
    client = Client(discover=False, plugins=[plugin], privacy="sovereign")
    for question in (
        lambda: client.list_models("far"),
        lambda: client.check_health("far"),
        lambda: client.count_tokens("far:m", "secret"),
    ):
        with pytest.raises(PrivacyViolation):
            question()
    assert created == []


def test_an_unknown_backend_says_what_to_install() -> None:
    client = Client(discover=False)
    with pytest.raises(UnknownBackendError, match=r"pip install andon-transformers$"):
        client.chat("candle:demo", "Hello")
    with pytest.raises(UnknownBackendError, match=r"pip install andon-aws-bedrock$"):
        client.chat(f"{ServingBackend.AWS_BEDROCK}:m", "Hello")
