"""What our providers write is true: OpenAI's own SDK reads in it what was meant, as andon does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import pytest
from pydantic import TypeAdapter

import andon_openai
from andon import BackendContext
from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest, FinishReason, TokenLogprob, Usage
from andon.errors import BackendError
from andon.messages import ChatMessage, ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.wire.sse import SSEDecoder

openai = pytest.importorskip("openai", reason="the official SDK is not installed")

HELLO = [{"role": "user", "content": "Hello"}]
CALLS = (ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("call_b", "time", "{}"))
LOGPROBS = (TokenLogprob("a", -0.5, (("a", -0.5), ("b", -1.5))), TokenLogprob("é", -1.0))
SAMPLES = {
    "text": SampleAnswer(usage=Usage(20, 9, 5, 2, 4)),
    "tools": SampleAnswer(text=(), tool_calls=CALLS, finish_reason=FinishReason.TOOL_CALLS),
    "cut": SampleAnswer(finish_reason=FinishReason.LENGTH),
    "filtered": SampleAnswer(finish_reason=FinishReason.CONTENT_FILTER),
    "log probabilities": SampleAnswer(text=("a", "é"), logprobs=LOGPROBS),
    "thoughts": SampleAnswer(reasoning=("2", "+2"), text=("4",)),
}


@pytest.fixture(params=SAMPLES.values(), ids=SAMPLES)
def sample(request: pytest.FixtureRequest, server: Any) -> SampleAnswer:
    server.answer = request.param
    return server.answer


@pytest.fixture
def client(server: Any) -> Iterable[Any]:
    with openai.OpenAI(api_key="K", base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


def ours(server: Any, *, stream: bool, api: str = "chat") -> Answer:
    [spec] = andon_openai.andon_register_backends()
    options = {"base_url": f"{server.url}/v1", "api_key": "K", "max_retries": 0, "api": api}
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=stream)
    answer = Answer()
    with closing(spec.create(BackendContext(options=options))) as backend:
        for delta in backend.stream(request, 10):
            assert isinstance(delta, ChatDelta)
            answer.append(delta)
    return answer


# -- Chat Completions ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions(sample: SampleAnswer, client: Any, server: Any, stream: bool) -> None:
    if stream:
        with client.chat.completions.stream(
            model="m", messages=HELLO, stream_options={"include_usage": True}
        ) as events:
            for _ in events:
                pass
            theirs = events.current_completion_snapshot
    else:
        theirs = client.chat.completions.create(model="m", messages=HELLO)
    [choice] = theirs.choices
    answer = ours(server, stream=stream)
    message = answer.message()
    assert (choice.message.content or "") == message.text == "".join(sample.text)
    assert calls(choice.message.tool_calls or ()) == message.tool_calls == sample.tool_calls
    assert choice.finish_reason == answer.raw_finish_reason == sample.finish_reason.value
    assert chat_usage(theirs.usage) == answer.usage == sample.usage
    rows = choice.logprobs.content if choice.logprobs else ()
    assert logprobs(rows) == sample.logprobs


def test_chat_fixtures_have_the_types_of_the_sdk() -> None:
    for answer in SAMPLES.values():
        whole = OpenAIChatProvider().whole(answer)
        openai.types.chat.ChatCompletion.model_validate_json(whole.body)
        for event in events_of(OpenAIChatProvider().stream(answer).body):
            if event != "[DONE]":
                openai.types.chat.ChatCompletionChunk.model_validate_json(event)


def calls(found: Iterable[Any]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(one.id, one.function.name, one.function.arguments) for one in found)


def chat_usage(usage: Any) -> Usage:
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    cached, written = given.cached_tokens, given.cache_write_tokens
    tokens = usage.prompt_tokens, usage.completion_tokens
    return Usage(*tokens, cached, written, made.reasoning_tokens)


def logprobs(rows: Iterable[Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            row.token, row.logprob, tuple((top.token, top.logprob) for top in row.top_logprobs)
        )
        for row in rows
    )


# -- Responses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_responses(sample: SampleAnswer, client: Any, server: Any, stream: bool) -> None:
    if stream:
        with client.responses.stream(model="m", input="Hello") as events:
            streamed = "".join(
                one.delta for one in events if one.type.endswith("output_text.delta")
            )
            assert streamed == "".join(sample.text)
        theirs = last_response(client)
    else:
        theirs = client.responses.create(model="m", input="Hello")
    answer = ours(server, stream=stream, api="responses")
    message = answer.message()
    assert theirs.output_text == message.text == "".join(sample.text)
    found = [item for item in theirs.output if item.type == "function_call"]
    assert tuple(ToolCall(one.call_id, one.name, one.arguments) for one in found) == (
        message.tool_calls
    )
    assert message.tool_calls == sample.tool_calls
    assert answer.finish_reason is sample.finish_reason
    assert response_usage(theirs.usage) == answer.usage == sample.usage
    thoughts = [
        part.text for item in theirs.output if item.type == "reasoning" for part in item.summary
    ]
    assert "".join(thoughts) == (message.reasoning or "") == "".join(sample.reasoning)
    kept = [json.loads(state.data) for state in message.provider_state]
    assert kept == ([replayed(theirs.output)] if thoughts else [])


def last_response(client: Any) -> Any:
    events = client.responses.create(model="m", input="Hello", stream=True)
    *_, last = events
    assert last.type in {"response.completed", "response.incomplete"}
    return last.response


def replayed(output: Iterable[Any]) -> list[Any]:
    """Return what the SDK's users send back: the items of the answer, as they came."""
    items = [item.to_dict(mode="json") for item in output]
    for part in items[-1]["content"]:
        del part["logprobs"]
    return [{name: value for name, value in item.items() if value is not None} for item in items]


def test_response_fixtures_have_the_types_of_the_sdk() -> None:
    events: Any = TypeAdapter(openai.types.responses.ResponseStreamEvent)
    provider = OpenAIResponsesProvider()
    for answer in SAMPLES.values():
        openai.types.responses.Response.model_validate_json(provider.whole(answer).body)
        for event in events_of(provider.stream(answer).body + provider.stream_error("Busy")):
            events.validate_json(event)


def events_of(data: bytes) -> list[str]:
    return [event.data for event in SSEDecoder().feed(data)]


def response_usage(usage: Any) -> Usage:
    given, made = usage.input_tokens_details, usage.output_tokens_details
    cached, written = given.cached_tokens, given.cache_write_tokens
    return Usage(usage.input_tokens, usage.output_tokens, cached, written, made.reasoning_tokens)


# -- Errors ----------------------------------------------------------------------------------------


def ask_sdk(url: str, api: str) -> None:
    with openai.OpenAI(api_key="K", base_url=f"{url}/v1", max_retries=0) as client:
        if api == "chat":
            client.chat.completions.create(model="m", messages=HELLO)
        else:
            client.responses.create(model="m", input="Hello")


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_errors(status: int, api: str, server: Any) -> None:
    server.url += f"/{status}"
    with pytest.raises(openai.APIStatusError, match="Because") as theirs:
        ask_sdk(server.url, api)
    with pytest.raises(BackendError, match="Because") as caught:
        ours(server, stream=False, api=api)
    error = caught.value
    assert (error.status, error.request_id) == (theirs.value.status_code, theirs.value.request_id)
    assert error.code == (theirs.value.code or theirs.value.type)


def test_errors_inside_a_stream_of_chat_completions(client: Any, server: Any) -> None:
    server.broken = True
    chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="Busy"):
        list(chunks)
    with pytest.raises(BackendError, match="Busy"):
        ours(server, stream=True)


def test_errors_inside_a_stream_of_responses(client: Any, server: Any) -> None:
    server.broken = True
    # The SDK hands this event over, and leaves it to its users.
    *_, last = client.responses.create(model="m", input="Hello", stream=True)
    assert (last.type, last.message) == ("error", "Busy")
    with pytest.raises(BackendError, match="Busy"):
        ours(server, stream=True, api="responses")
