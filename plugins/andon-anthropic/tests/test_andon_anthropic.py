"""What andon-anthropic says of its backend, and the requests that are really sent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

import andon_anthropic
from andon import AsyncClient, Client, Locality, Price
from andon.chat import FinishReason, Usage
from andon.errors import MissingKeyError, OverloadedError, PermissionDeniedError, StreamInterrupted
from andon.messages import ChatMessage, ToolCall
from andon.specs import BackendContext
from andon.testing.provider import SampleAnswer
from andon_anthropic import ENDPOINT, MODEL

NAME = "anthropic:claude-sonnet-5-5"
PRICES = {NAME: Price(input=Decimal(2), output=Decimal(10))}


def settings(url: str, **more: Any) -> dict[str, Any]:
    endpoint = {"base_url": url, "api_key": "sk-ant-1", "max_retries": 0, **more}
    return {
        "discover": False,
        "plugins": [andon_anthropic],
        "endpoints": {"anthropic": endpoint},
        "prices": PRICES,
    }


def test_the_facts() -> None:
    [spec] = andon_anthropic.andon_register_backends()
    assert (spec.name, spec.locality) == ("anthropic", Locality.PUBLIC)
    assert ENDPOINT.base_url == "https://api.anthropic.com"
    assert ENDPOINT.key_variables == ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    assert ENDPOINT.base_url_variables == ("ANTHROPIC_BASE_URL",)
    assert ENDPOINT.key_optional is False
    assert MODEL.backends == (spec.name,)


def test_a_chat_that_is_really_sent(server: Any) -> None:
    with Client(**settings(server.url + "/")) as client:
        reply = client.chat(NAME, "Hello", max_tokens=9)
    assert (reply.text, reply.usage, reply.finish_reason) == ("Hello, wörld!", Usage(12, 5), "stop")
    assert reply.cost_usd == Decimal("0.000074")
    assert reply.request_id is not None
    assert reply.request_id.startswith("req_")
    [(method, path, headers, body)] = server.seen
    assert (method, path) == ("POST", "/v1/messages")
    assert headers["authorization"] == "Bearer sk-ant-1"
    assert headers["anthropic-version"] == "2026-10-21"
    assert "x-api-key" not in headers
    messages = [{"role": "user", "content": "Hello"}]
    assert body == {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": messages}


def test_in_asyncio_as_well(server: Any) -> None:
    async def run() -> None:
        async with AsyncClient(**settings(server.url)) as client:
            assert (await client.chat(NAME, "Hello", max_tokens=9)).text == "Hello, wörld!"
            deltas = [delta async for delta in client.stream(NAME, "Hello", max_tokens=9)]
            assert "".join(delta.text for delta in deltas) == "Hello, wörld!"
            assert deltas[-1].usage == Usage(12, 5)
            assert (await client.count_tokens(NAME, "Hello")).tokens == 12
            assert len(await client.list_models("anthropic")) == 2

    asyncio.run(run())


def test_a_loop_with_tools_and_signed_thoughts(server: Any) -> None:
    calls = (ToolCall("toolu_1", "weather", '{"city":"Köln"}'),)
    server.answer = SampleAnswer(
        reasoning=("I look ", "it up."), text=(), tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS
    )  # fmt: skip
    tool = {"type": "function", "function": {"name": "weather"}}
    messages = [ChatMessage.user("How is Köln?")]
    with Client(**settings(server.url)) as client:
        stream = client.stream(NAME, messages, max_tokens=9, tools=[tool], reasoning_effort="low")
        for _ in stream:
            pass
        asked = stream.response.message
        assert (asked.tool_calls, asked.reasoning) == (calls, "I look it up.")
        messages += [asked, ChatMessage.tool("Rain", "toolu_1")]
        client.chat(NAME, messages, max_tokens=9, tools=[tool], reasoning_effort="low")
    [_, (*_, body)] = server.seen
    thought, call = body["messages"][1]["content"]
    assert (thought["type"], thought["thinking"]) == ("thinking", "I look it up.")
    assert thought["signature"]
    assert call == {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "weather",
        "input": {"city": "Köln"},
    }
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"}
    ]


def test_questions_besides_the_chat(server: Any) -> None:
    with Client(**settings(server.url)) as client:
        cards = client.list_models("anthropic")
        count = client.count_tokens(NAME, "Hello")
    assert [card.name for card in cards] == ["claude-a", "claude-b"]
    assert (cards[0].context_window, cards[0].max_output_tokens) == (200_000, 64_000)
    assert count.tokens == 12
    [(method, path, headers, _), (*_, body)] = server.seen
    assert (method, path, headers["anthropic-version"]) == (
        "GET",
        "/v1/models?limit=1000",
        "2026-10-21",
    )
    assert body.keys() == {"model", "messages"}


@pytest.mark.parametrize(("status", "kind"), [(529, OverloadedError), (402, PermissionDeniedError)])
def test_errors_have_our_names(server: Any, status: int, kind: type[Exception]) -> None:
    with (
        Client(**settings(f"{server.url}/{status}")) as client,
        pytest.raises(kind, match=rf"Because \(HTTP {status}\)") as caught,
    ):
        client.chat(NAME, "Hello", max_tokens=9)
    assert (caught.value.backend, caught.value.status) == ("anthropic", status)  # type: ignore[attr-defined]


def test_an_error_inside_a_stream(server: Any) -> None:
    server.broken = True
    with Client(**settings(server.url)) as client:
        stream = client.stream(NAME, "Hello", max_tokens=9)
        with pytest.raises(StreamInterrupted, match="Busy") as caught:
            list(stream)
    assert caught.value.partial == "Hello, wörld!"
    assert isinstance(caught.value.__cause__, OverloadedError)


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"ANTHROPIC_API_KEY": "sk-ant-1"}, "sk-ant-1"),
        ({"ANTHROPIC_AUTH_TOKEN": "token"}, "token"),
        ({"ANTHROPIC_API_KEY": "sk-ant-1", "ANTHROPIC_AUTH_TOKEN": "token"}, "sk-ant-1"),
    ],
)
def test_the_environment(server: Any, environment: dict[str, str], key: str) -> None:
    [spec] = andon_anthropic.andon_register_backends()
    variables = {**environment, "ANTHROPIC_BASE_URL": server.url}
    backend = spec.create(BackendContext(environment=variables))
    backend.list_models()  # type: ignore[attr-defined]
    backend.close()
    [(_, _, headers, _)] = server.seen
    assert headers["authorization"] == f"Bearer {key}"
    assert key not in repr(backend)


def test_without_a_key_one_is_told_where_it_goes() -> None:
    [spec] = andon_anthropic.andon_register_backends()
    said = r"ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN.*endpoints=.*llama-cpp:demo"
    with pytest.raises(MissingKeyError, match=said):
        spec.create(BackendContext())


def test_a_header_of_ones_own(server: Any) -> None:
    headers = {"x-api-key": "sk-ant-2", "anthropic-beta": "new-2026"}
    with Client(**settings(server.url, headers=headers)) as client:
        client.chat(NAME, "Hello", max_tokens=9)
    assert server.seen[0][2].items() >= headers.items()
