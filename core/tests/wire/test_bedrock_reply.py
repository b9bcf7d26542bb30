"""Whole answers of Bedrock, and counts of tokens."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.chat import ChatDelta, ChatRequest, FinishReason, ToolCallDelta, Usage
from andon.errors import BackendError, ServerError
from andon.messages import ChatMessage
from andon.wire.bedrock_converse import BedrockConverse
from andon.wire.dialect import HTTPReply

DIALECT = BedrockConverse()
HEADERS = {"content-type": "application/json", "x-amzn-requestid": "5a9c"}


def answer(*content: Any, stop: str = "end_turn", **members: Any) -> dict[str, Any]:
    usage = {"inputTokens": 5, "outputTokens": 9, "totalTokens": 14}
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": stop, "usage": usage,
            "metrics": {"latencyMs": 1}, **members}  # fmt: skip


def decode(body: Any) -> ChatDelta:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    [delta] = DIALECT.decode(HTTPReply(status=200, headers=HEADERS, body=data))
    return delta


WHOLE = answer(
    {"reasoningContent": {"reasoningText": {"text": "2+2", "signature": "Eq+/="}}},
    {"reasoningContent": {"redactedContent": "AAEC"}},
    {"text": "Gr"},
    {"citationsContent": {"content": [{"text": "üße"}], "citations": [{"title": "t"}]}},
    {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Köln", "n": [1, 2.5]}}},
    {"toolUse": {"toolUseId": "", "name": "now", "input": {}}},
    {"toolUse": {"toolUseId": "s", "name": "grounding", "input": {}, "type": "server_tool_use"}},
    {"newContent": {"x": 1}},
    stop="tool_use",
    trace={"promptRouter": {"invokedModelId": "arn:m"}},
)


def test_everything() -> None:
    delta = decode(WHOLE)
    [state] = delta.provider_state
    assert json.loads(state.data) == [
        {"reasoningText": {"text": "2+2", "signature": "Eq+/="}}, {"redactedContent": "AAEC"},
        2, 3, "call", "call",
    ]  # fmt: skip
    assert delta == ChatDelta(
        text="Grüße",
        reasoning="2+2",
        tool_calls=(
            ToolCallDelta(0, "a", "weather", '{"city":"Köln","n":[1,2.5]}'),
            ToolCallDelta(1, "call_1", "now", "{}"),
        ),
        finish_reason=FinishReason.TOOL_CALLS,
        raw_finish_reason="tool_use",
        usage=Usage(5, 9),
        model="arn:m",
        request_id="5a9c",
        provider_state=(state,),
    )


def test_what_the_message_says_itself_is_not_kept_twice() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "2+2"}}}
    delta = decode(answer(thought, {"text": "4"}))
    assert (delta.reasoning, delta.text, delta.provider_state) == ("2+2", "4", ())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP), ("stop_sequence", FinishReason.STOP), ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH), ("tool_use", FinishReason.TOOL_CALLS),
        ("content_filtered", FinishReason.CONTENT_FILTER), ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("something_new", FinishReason.STOP),
    ],
)  # fmt: skip
def test_finish_reasons(raw: str, reason: FinishReason) -> None:
    delta = decode(answer({"text": "Hi"}, stop=raw))
    assert (delta.finish_reason, delta.raw_finish_reason) == (reason, raw)


def test_a_call_is_one_whatever_the_stop_reason() -> None:
    call = {"toolUse": {"toolUseId": "a", "name": "now", "input": {}}}
    assert decode(answer(call)).finish_reason is FinishReason.TOOL_CALLS
    assert decode(answer(call, stop="max_tokens")).finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("raw", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_is_none(raw: str) -> None:
    with pytest.raises(ServerError, match=raw) as caught:
        decode(answer(stop=raw))
    assert (caught.value.code, caught.value.request_id) == (raw, "5a9c")


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"inputTokens": 5, "outputTokens": 9, "totalTokens": 17, "cacheReadInputTokens": 1,
          "cacheWriteInputTokens": 2, "cacheDetails": [{"ttl": "5m", "inputTokens": 2}]}, Usage(8, 9, 1, 2)),
        ({"inputTokens": 5, "outputTokens": None}, Usage(5, 0)),
        ({"inputTokens": -5, "outputTokens": "9"}, Usage(0, 0)),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)  # fmt: skip
def test_usage(counts: Any, usage: Usage | None) -> None:
    assert decode(answer({"text": "Hi"}, usage=counts)).usage == usage


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"\xff", b"{", b"[" * 100_000, b'{"output": {}}',
        answer("text"), answer({"text": 5}), answer({"text": "Hi"}, stop=""), answer({"text": "Hi"}, stopReason=5),
        answer({"toolUse": {"toolUseId": "a", "name": "f", "input": "{}"}}), answer({"toolUse": {"toolUseId": "a"}}),
        answer({"reasoningContent": {"redactedContent": "A"}}), answer({"reasoningContent": {"redactedContent": "ü"}}),
    ],
)  # fmt: skip
def test_what_is_no_answer(body: Any) -> None:
    with pytest.raises(BackendError, match=r"that are no (answer|JSON)") as caught:
        decode(body)
    assert type(caught.value) is BackendError


def test_an_error_with_a_good_status() -> None:
    with pytest.raises(ServerError, match="Because"):
        decode({"message": "Because"})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@given(
    st.integers(0, 200),
    st.sampled_from([None, True, 5, -1, 1.5, "", "text", [], [1], {}, {"text": "x"}]),
)
@settings(max_examples=500)
def test_one_wrong_value_is_an_answer_or_an_error(place: int, junk: Any) -> None:
    body = copy.deepcopy(WHOLE)
    found = list(places(body))
    holder, key = found[place % len(found)]
    holder[key] = junk
    with contextlib.suppress(BackendError):
        delta = decode(body)
        assert isinstance(delta.text, str)
        assert delta.finish_reason is not None


def test_a_count() -> None:
    query = DIALECT.count_tokens(ChatRequest(model="m", messages=(ChatMessage.user("Hello"),)))

    def read(body: bytes) -> int:
        return query.read(HTTPReply(status=200, headers=HEADERS, body=body))

    assert read(b'{"inputTokens": 12}') == 12
    for wrong in (b'{"inputTokens": true}', b'{"inputTokens": -1}', b"[]", b"{}", b"x"):
        with pytest.raises((ValueError, TypeError, KeyError)):
            read(wrong)
