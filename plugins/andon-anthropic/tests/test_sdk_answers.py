"""Anthropic's own SDK reads what the fixtures write, and reads the same as andon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from andon.chat import FinishReason, Usage
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.anthropic import AnthropicProvider
from andon.wire.anthropic_messages import AnthropicMessages

anthropic = pytest.importorskip("anthropic", reason="the official SDK is not installed")

PROVIDER, DIALECT = AnthropicProvider(), AnthropicMessages()
CALLS = (ToolCall("toolu_1", "weather", '{"city":"Köln"}'), ToolCall("toolu_2", "now", "{}"))
SAMPLES = {
    "text": SampleAnswer(),
    "cut": SampleAnswer(finish_reason=FinishReason.LENGTH),
    "refused": SampleAnswer(text=(), finish_reason=FinishReason.CONTENT_FILTER),
    "cached": SampleAnswer(usage=Usage(20, 5, cached_input_tokens=10, cache_write_tokens=7)),
    "one call": SampleAnswer(text=(), tool_calls=CALLS[:1], finish_reason=FinishReason.TOOL_CALLS),
    "thoughts, text and parallel calls": SampleAnswer(
        reasoning=("I look ", "it up."),
        tool_calls=CALLS,
        finish_reason=FinishReason.TOOL_CALLS,
        usage=Usage(20, 9, reasoning_tokens=4),
    ),
}
REQUEST: dict[str, Any] = {
    "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]
}  # fmt: skip


def client(url: str) -> Any:
    return anthropic.Anthropic(api_key="K", base_url=url, max_retries=0)


def check(message: Any, sample: SampleAnswer) -> None:
    """Check that the SDK's message is the sample, and that andon reads it so as well."""
    # The SDK itself lets wrong kinds pass; its types do not.
    anthropic.types.Message.model_validate(message.model_dump(), strict=True)
    [ours] = DIALECT.decode(PROVIDER.whole(sample))
    texts = [block.text for block in message.content if block.type == "text"]
    thoughts = [block.thinking for block in message.content if block.type == "thinking"]
    calls = [block for block in message.content if block.type == "tool_use"]
    assert "".join(texts) == ours.text == "".join(sample.text)
    assert "".join(thoughts) == ours.reasoning == "".join(sample.reasoning)
    assert [(call.id, call.name, call.input) for call in calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in ours.tool_calls
    ]
    assert (message.stop_reason, message.model) == (ours.raw_finish_reason, ours.model)
    usage, read = message.usage, ours.usage
    assert read == sample.usage
    assert (
        usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
        == (read.input_tokens)
    )
    assert usage.output_tokens == read.output_tokens
    assert usage.output_tokens_details.thinking_tokens == read.reasoning_tokens


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_answers(server: Any, name: str) -> None:
    server.answer = SAMPLES[name]
    with client(server.url) as sdk:
        message = sdk.messages.create(**REQUEST)
    check(message, server.answer)
    [ours] = DIALECT.decode(PROVIDER.whole(server.answer))
    assert message._request_id == ours.request_id


@pytest.mark.parametrize("name", SAMPLES)
def test_events_are_of_their_types(server: Any, name: str) -> None:
    server.answer = SAMPLES[name]
    with client(server.url) as sdk:
        events = list(sdk.messages.create(**REQUEST, stream=True))
    adapter: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)
    for event in events:
        adapter.validate_python(event.model_dump(), strict=True)
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]


@pytest.mark.parametrize("name", SAMPLES)
def test_its_accumulated_message_is_the_same(server: Any, name: str) -> None:
    server.answer = SAMPLES[name]
    with client(server.url) as sdk, sdk.messages.stream(**REQUEST) as stream:
        assert "".join(stream.text_stream) == "".join(server.answer.text)
        message = stream.get_final_message()
    check(message, server.answer)


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503, 504, 529]
)
def test_errors(server: Any, status: int) -> None:
    with client(f"{server.url}/{status}") as sdk, pytest.raises(anthropic.APIStatusError) as caught:
        sdk.messages.create(**REQUEST)
    theirs = caught.value
    ours = DIALECT.explain(PROVIDER.error(status, "Because"))
    assert theirs.body["error"]["message"] == "Because"
    assert (ours.status, ours.code) == (theirs.status_code, theirs.body["error"]["type"])
    assert ours.request_id == theirs.request_id == theirs.body["request_id"]
    # The table of the SDK lacks the one for a request that is too large.
    known = set(anthropic.types.ErrorType.__args__) | {"request_too_large"}
    assert theirs.body["error"]["type"] in known


def test_an_error_inside_a_stream(server: Any) -> None:
    server.broken = True
    with client(server.url) as sdk, pytest.raises(anthropic.APIStatusError) as caught:
        list(sdk.messages.create(**REQUEST, stream=True))
    assert caught.value.body["error"] == {"type": "overloaded_error", "message": "Busy"}


def test_models_and_tokens(server: Any) -> None:
    with client(server.url) as sdk:
        models = list(sdk.models.list())
        count = sdk.messages.count_tokens(model="m", messages=REQUEST["messages"])
    for model in models:
        anthropic.types.ModelInfo.model_validate(model.model_dump(), strict=True)
    assert [model.id for model in models] == ["claude-a", "claude-b"]
    assert count.input_tokens == 12
