"""andon-modal: how it signs in, and that it follows Modal to where an answer will be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

import andon_modal
from andon import AsyncClient, BackendContext, Client, Locality, Price
from andon.errors import AuthenticationError, BackendError, SettingsError
from andon.settings import Settings
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import (
    LAST_CHUNK,
    ScriptedServer,
    chunk,
    respond,
    send_reply,
    stream_head,
)
from andon_modal import ENDPOINT
from andon_modal.proxy_auth import ProxyAuth

PROVIDER = OpenAIChatProvider()
WHOLE = [send_reply(PROVIDER.whole(SampleAnswer()))]
STREAM = PROVIDER.stream(SampleAnswer())
STREAMED = [stream_head(STREAM.headers), chunk(STREAM.body), LAST_CHUNK]
RESULT = "/v1/chat/completions?__modal_function_call_id=fc-1"
PROXY = {"proxy_key": "wk-key", "proxy_secret": "ws-secret"}
FREE = {"modal:m": Price(input=Decimal(0), output=Decimal(0))}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def arguments(server: ScriptedServer, **options: Any) -> dict[str, Any]:
    endpoint = {"base_url": f"{server.url}/v1", **options}
    settings = Settings(endpoints={"modal": endpoint})
    return {"discover": False, "plugins": [andon_modal], "settings": settings, "prices": FREE}


def auth(options: Mapping[str, Any], **environment: str) -> dict[str, str]:
    context = BackendContext(options=options, environment=environment)
    return ProxyAuth.from_context(context).sign("POST", "https://x", {}, b"")


def test_the_facts() -> None:
    [spec] = andon_modal.andon_register_backends()
    assert (spec.name, spec.locality) == ("modal", Locality.PUBLIC)
    assert (ENDPOINT.base_url, ENDPOINT.base_url_variables) == ("", ("MODAL_BASE_URL",))
    assert ENDPOINT.see_other is True


def test_where_a_proxy_token_stands() -> None:
    both = {"modal-key": "wk-1", "modal-secret": "ws-1"}
    assert auth({"proxy_key": "wk-1", "proxy_secret": "ws-1"}) == both
    found = auth({}, MODAL_PROXY_TOKEN_ID="wk-1", MODAL_PROXY_TOKEN_SECRET="ws-1")
    assert found == both
    assert auth({}, MODAL_KEY="wk-1", MODAL_SECRET="ws-1") == both
    assert auth({}, MODAL_TOKEN_ID="ak-1", MODAL_TOKEN_SECRET="as-1") == {}
    assert auth({"api_key": "K"}) == {"authorization": "Bearer K"}
    assert auth({**PROXY}, MODAL_API_KEY="K")["authorization"] == "Bearer K"


@pytest.mark.parametrize(
    ("options", "missing"),
    [({"proxy_key": "wk-1"}, "proxy_secret"), ({"proxy_secret": "ws-1"}, "proxy_key")],
)
def test_half_a_token(options: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=f"set {missing} of 'modal'"):
        auth(options)


def test_a_token_that_is_none() -> None:
    with pytest.raises(SettingsError, match="proxy_key") as caught:
        auth({"proxy_key": "wk-\n1", "proxy_secret": "ws-1"})
    assert "wk-" not in str(caught.value)


def test_an_address_is_needed() -> None:
    settings = Settings(endpoints={})
    client = Client(discover=False, plugins=[andon_modal], settings=settings, prices=FREE)
    with client, pytest.raises(SettingsError, match="MODAL_BASE_URL"):
        client.chat("modal:m", "Hello")


def test_both_ways_of_signing_in_go_with_a_call(server: ScriptedServer) -> None:
    server.says(WHOLE)
    with Client(**arguments(server, api_key="K", **PROXY)) as client:
        assert client.chat("modal:m", "Hello").text == "Hello, wörld!"
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    headers = request.headers
    assert (headers["modal-key"], headers["modal-secret"]) == ("wk-key", "ws-secret")
    assert headers["authorization"] == "Bearer K"


def see_other(location: str) -> list[bytes]:
    return [respond(303, b"", location=location)]


def check_followed(server: ScriptedServer) -> None:
    sent = [(request.method, request.target, bool(request.body)) for request in server.requests]
    assert sent == [
        ("POST", "/v1/chat/completions", True), ("GET", RESULT, False), ("GET", RESULT, False),
    ]  # fmt: skip
    # Whoever fetches the answer has to sign in as well.
    assert [request.headers["modal-key"] for request in server.requests] == ["wk-key"] * 3


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_long_call_is_followed(server: ScriptedServer, streamed: bool, absolute: bool) -> None:
    place = server.url + RESULT if absolute else RESULT
    server.says(see_other(place), see_other(place), STREAMED if streamed else WHOLE)
    with Client(**arguments(server, **PROXY)) as client:
        if streamed:
            text = "".join(delta.text for delta in client.stream("modal:m", "Hello"))
        else:
            text = client.chat("modal:m", "Hello").text
    assert text == "Hello, wörld!"
    check_followed(server)


def test_a_long_call_of_asyncio_is_followed(server: ScriptedServer) -> None:
    async def ask() -> str:
        async with AsyncClient(**arguments(server, **PROXY)) as client:
            return "".join([delta.text async for delta in client.stream("modal:m", "Hello")])

    server.says(see_other(RESULT), see_other(RESULT), STREAMED)
    assert asyncio.run(ask()) == "Hello, wörld!"
    check_followed(server)


def test_a_question_is_followed_too(server: ScriptedServer) -> None:
    models = PROVIDER.models(["m"])
    assert models is not None
    server.says(see_other("/v1/models?__modal_function_call_id=fc-2"), [send_reply(models)])
    with Client(**arguments(server, **PROXY)) as client:
        assert [card.name for card in client.list_models("modal")] == ["m"]
    assert server.requests[1].target == "/v1/models?__modal_function_call_id=fc-2"


@pytest.mark.parametrize(
    "place", ["https://elsewhere.example/x", "http://127.0.0.1:9/x", "//elsewhere.example/x"]
)
def test_another_host_is_not_followed(server: ScriptedServer, place: str) -> None:
    server.says(see_other(place))
    with (
        Client(**arguments(server, **PROXY)) as client,
        pytest.raises(BackendError, match="not one of its own hosts") as caught,
    ):
        client.chat("modal:m", "Hello")
    assert len(server.requests) == 1
    assert "ws-secret" not in str(caught.value)


def test_the_raw_completion_of_a_long_call_is_read_as_such(server: ScriptedServer) -> None:
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    reply = PROVIDER.route("POST", "/v1/completions", b"{}", SampleAnswer(text=(text,)))
    assert reply is not None
    server.says(see_other("/v1/completions?__modal_function_call_id=fc-3"), [send_reply(reply)])
    with Client(**arguments(server, api="completions", chat_template="qwen")) as client:
        tool = {"type": "function", "function": {"name": "f"}}
        answer = client.chat("modal:m", "Hello", tools=[tool])
    assert [call.name for call in answer.tool_calls] == ["f"]


def test_the_proxys_refusal(server: ScriptedServer) -> None:
    words = b"modal-http: missing credentials for proxy authorization"
    server.says([respond(401, words, "text/plain")])
    missing = pytest.raises(AuthenticationError, match="missing credentials for proxy")
    with Client(**arguments(server)) as client, missing:
        client.chat("modal:m", "Hello")
