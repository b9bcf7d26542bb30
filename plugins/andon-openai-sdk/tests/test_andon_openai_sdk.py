"""The SDK's own objects, from andon's answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

import andon
from andon import (
    AsyncClient,
    ChatDelta,
    Client,
    FinishReason,
    Locality,
    Price,
    ServerError,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from andon.testing.scripted import ScriptedBackend, plugin_with
from andon_openai_sdk import async_openai_client, openai_client

ASK: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def client_of(**backends: ScriptedBackend) -> Client:
    return Client(discover=False, plugins=[plugin_with(**backends)])


@pytest.fixture
def hello() -> Iterator[openai.OpenAI]:
    with client_of(one=ScriptedBackend(["Hel", "lo"])) as client:
        yield openai_client(client)


def test_a_whole_answer(hello: openai.OpenAI) -> None:
    answer = hello.chat.completions.create(model="one:m", messages=ASK, max_completion_tokens=9)
    assert answer.object == "chat.completion"
    assert answer.model == "one:m"
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello")
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 3


def test_a_stream(hello: openai.OpenAI) -> None:
    chunks = list(
        hello.chat.completions.create(
            model="one:m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    *pieces, last = chunks
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Hello"
    assert [piece.choices[0].delta.role for piece in pieces] == ["assistant", None, None]
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 2
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_sdks_own_way_of_reading_streams(hello: openai.OpenAI) -> None:
    with hello.chat.completions.stream(model="one:m", messages=ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello"


def test_asyncio() -> None:
    async def ask() -> list[str]:
        plugin = plugin_with(one=ScriptedBackend(["Hel", "lo"]))
        async with AsyncClient(discover=False, plugins=[plugin]) as client:
            sdk = async_openai_client(client)
            whole = await sdk.chat.completions.create(model="one:m", messages=ASK)
            stream = await sdk.chat.completions.create(model="one:m", messages=ASK, stream=True)
            pieces = [piece.choices[0].delta.content or "" async for piece in stream]
            return [whole.choices[0].message.content or "", "".join(pieces)]

    assert asyncio.run(ask()) == ["Hello", "Hello"]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls(stream: bool) -> None:
    script = [
        ChatDelta(tool_calls=(ToolCallDelta(0, "call_1", "add", '{"a"'),)),
        ChatDelta(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
        ChatDelta(finish_reason=FinishReason.TOOL_CALLS, usage=Usage(1, 2)),
    ]
    with client_of(one=ScriptedBackend(script, finishes=False)) as client:
        completions = openai_client(client).chat.completions
        if stream:
            with completions.stream(model="one:m", messages=ASK, tools=[TOOL]) as events:
                answer: Any = events.get_final_completion()
        else:
            answer = completions.create(model="one:m", messages=ASK, tools=[TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert (call.id, call.function.name) == ("call_1", "add")
    assert json.loads(call.function.arguments) == {"a": 1}
    assert answer.choices[0].finish_reason == "tool_calls"


def test_log_probabilities() -> None:
    token = TokenLogprob("hé", -0.5, (("hé", -0.5), ("ho", -1.0)))
    script = [
        ChatDelta(text="hé", logprobs=(token,)),
        ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, 1)),
    ]
    backend = ScriptedBackend(script, finishes=False)
    with client_of(one=backend) as client:
        answer = openai_client(client).chat.completions.create(
            model="one:m", messages=ASK, logprobs=True, top_logprobs=2
        )
    assert backend.requests[0].top_logprobs == 2
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    [entry] = logprobs.content
    assert (entry.token, entry.logprob, entry.bytes) == ("hé", -0.5, list("hé".encode()))
    assert [top.token for top in entry.top_logprobs] == ["hé", "ho"]


def test_what_is_asked_arrives() -> None:
    backend = ScriptedBackend()
    with client_of(one=backend) as client:
        openai_client(client).chat.completions.create(
            model="one:m",
            messages=[{"role": "system", "content": "be brief"}, *ASK],
            max_tokens=7,
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            seed=3,
            tools=[TOOL],
            tool_choice={"type": "function", "function": {"name": "add"}},
            response_format={"type": "json_object"},
            reasoning_effort="low",
            n=1,
            metadata={"team": "a"},
            user="ada",
        )
    [request] = backend.requests
    assert [message.role for message in request.messages] == ["system", "user"]
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (7, 0.5, 0.9)
    assert (sampling.stop, sampling.seed) == (("END",), 3)
    assert (request.tool_choice, request.response_format.kind) == ("add", "json_object")
    assert request.reasoning_effort == "low"


def test_what_andon_has_no_option_for_is_refused(hello: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no option for 'n'") as caught:
        hello.chat.completions.create(model="one:m", messages=ASK, n=2)
    assert caught.value.param == "n"
    with pytest.raises(openai.BadRequestError, match="frequency_penalty"):
        hello.chat.completions.create(model="one:m", messages=ASK, frequency_penalty=1)


def test_refusals_are_the_sdks_own_exceptions() -> None:
    far = plugin_with(locality=Locality.PUBLIC, far=ScriptedBackend(measured=False))
    price = Price(input=Decimal(1), output=Decimal(1_000_000))
    with Client(
        discover=False, plugins=[far], prices={"far:m": price}, daily_budget_usd=1
    ) as client:
        sdk = openai_client(client).chat.completions
        with pytest.raises(openai.RateLimitError) as broke:
            sdk.create(model="far:m", messages=ASK)
        assert broke.value.code == "DailyBudgetExceeded"
        with pytest.raises(openai.NotFoundError, match="pip install andon-groq"):
            sdk.create(model="groq:m", messages=ASK)
        with pytest.raises(openai.BadRequestError, match="backend:model"):
            sdk.create(model="gpt-5", messages=ASK)
    with (
        Client(discover=False, plugins=[far], privacy="private") as client,
        pytest.raises(openai.PermissionDeniedError, match="privacy tier"),
    ):
        openai_client(client).chat.completions.create(model="far:m", messages=ASK)


def test_only_chats_are_answered(hello: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="andon answers chat"):
        hello.embeddings.create(model="one:m", input="x")


def test_an_answer_that_breaks_off_raises_in_the_stream() -> None:
    broken = ScriptedBackend(["half", ServerError("cut", status=500)])
    with client_of(one=broken) as client:
        stream = openai_client(client).chat.completions.create(
            model="one:m", messages=ASK, stream=True
        )
        assert next(stream).choices[0].delta.content == "half"
        with pytest.raises(openai.APIError, match="broke off after 4 characters"):
            next(stream)


def test_a_stream_goes_on_elsewhere() -> None:
    broken = ScriptedBackend(["one ", "two ", ServerError("cut")], continues=True)
    sound = ScriptedBackend(["one ", "two ", "three"], continues=True)
    routes = {"assistant": {"models": ["bad:m", "good:m"]}}
    plugin = plugin_with(bad=broken, good=sound)
    with Client(discover=False, plugins=[plugin], routes=routes) as client:
        stream = openai_client(client).chat.completions.create(
            model="assistant", messages=ASK, stream=True
        )
        assert "".join(p.choices[0].delta.content or "" for p in stream) == "one two three"


def test_leaving_a_stream_closes_the_answer() -> None:
    backend = ScriptedBackend(["one"] * 100)
    with client_of(one=backend) as client:
        stream = openai_client(client).chat.completions.create(
            model="one:m", messages=ASK, stream=True
        )
        next(iter(stream))
        stream.close()
        assert backend.closed_streams == 1


def test_the_whole_answer_says_who_gave_it_and_what_it_cost(hello: openai.OpenAI) -> None:
    answer = hello.chat.completions.create(model="one:m", messages=ASK)
    told: Any = answer.model_extra
    assert told["andon"]["backend"] == "one"
    assert told["andon"]["cost_usd"] == "0"
    assert andon.__version__
