"""Whole answers of OpenAI's Responses: what is read from them, and what is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContentFilterError,
    PromptTooLongError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.wire.dialect import HTTPReply
from andon.wire.openai_responses import OpenAIResponses

HEADERS = {"content-type": "application/json", "x-request-id": "req_1"}
TEXT = {"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}
MESSAGE: dict[str, Any] = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT]
}  # fmt: skip
CALL = {
    "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
    "arguments": '{"city":"Köln"}', "status": "completed",
}  # fmt: skip
USAGE = {
    "input_tokens": 20, "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 3},
    "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 29,
}  # fmt: skip


def response(*output: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "status": "completed", "model": "m-1"}
    return head | {"error": None, "output": list(output)} | more


def decode(value: Any, status: int = 200, headers: Mapping[str, str] = HEADERS) -> ChatDelta:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    [delta] = OpenAIResponses().decode(HTTPReply(status=status, headers=headers, body=data))
    return delta


def test_a_whole_answer() -> None:
    assert decode(response(MESSAGE, usage=USAGE)) == ChatDelta(
        text="Hi.",
        finish_reason=FinishReason.STOP,
        raw_finish_reason="completed",
        usage=Usage(20, 9, cached_input_tokens=12, cache_write_tokens=3, reasoning_tokens=4),
        model="m-1",
        request_id="req_1",
    )
    assert decode(response(MESSAGE), headers={}).request_id == "resp_1"


def test_calls() -> None:
    delta = decode(response(MESSAGE, CALL, CALL | {"call_id": "call_2", "arguments": "{}"}))
    assert delta.tool_calls == (
        ToolCallDelta(0, "call_1", "weather", '{"city":"Köln"}'),
        ToolCallDelta(1, "call_2", "weather", "{}"),
    )
    assert delta.finish_reason is FinishReason.TOOL_CALLS


def test_thoughts_in_parts() -> None:
    summary = [{"type": "summary_text", "text": text} for text in ("First.", "Second.")]
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "c2U="}
    content = [{"type": "reasoning_text", "text": "Third."}]
    more = {"type": "reasoning", "id": "rs_2", "summary": [], "content": content}
    delta = decode(response(thoughts, more, MESSAGE))
    assert (delta.reasoning, delta.text) == ("First.\n\nSecond.\n\nThird.", "Hi.")
    [state] = delta.provider_state
    assert [item["id"] for item in json.loads(state.data)] == ["rs_1", "msg_1"]


def test_items_that_nobody_knows_are_passed_over() -> None:
    assert decode(response({"type": "web_search_call", "id": "ws_1"}, MESSAGE)).text == "Hi."


def test_log_probabilities() -> None:
    rows = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [
        {"token": "Ho", "logprob": -2}, {"token": "Hi", "logprob": -0.5}]}]  # fmt: skip
    delta = decode(response(MESSAGE | {"content": [TEXT | {"logprobs": rows}]}))
    assert delta.logprobs == (TokenLogprob("Hi", -0.5, (("Hi", -0.5), ("Ho", -2.0))),)


@pytest.mark.parametrize(
    ("details", "reason", "raw"),
    [
        ({"reason": "max_output_tokens"}, "length", "max_output_tokens"),
        ({"reason": "content_filter"}, "content_filter", "content_filter"),
        ({"reason": "max_messages"}, "stop", "max_messages"),
        (None, "stop", "incomplete"),
    ],
)
def test_incomplete_answers(details: Any, reason: str, raw: str) -> None:
    delta = decode(response(MESSAGE, status="incomplete", incomplete_details=details))
    assert (delta.finish_reason, delta.raw_finish_reason) == (reason, raw)


def test_a_refusal_is_text_that_was_filtered() -> None:
    refused = MESSAGE | {"content": [{"type": "refusal", "refusal": "No."}]}
    delta = decode(response(refused))
    assert (delta.text, delta.finish_reason) == ("No.", FinishReason.CONTENT_FILTER)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ServerError),
        ("rate_limit_exceeded", RateLimitError),
        ("invalid_prompt", BadRequestError),
        ("image_content_policy_violation", ContentFilterError),
        ("bio_policy", ContentFilterError),
        ("context_length_exceeded", PromptTooLongError),
    ],
)
def test_failed_answers(code: str, kind: type[BackendError]) -> None:
    failed = response(status="failed", error={"code": code, "message": "It broke"})
    with pytest.raises(kind, match="It broke") as caught:
        decode(failed)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.request_id) == (code, "req_1")


@pytest.mark.parametrize("status", ["cancelled", "queued", "in_progress"])
def test_answers_that_are_none_yet(status: str) -> None:
    with pytest.raises(StreamInterrupted, match=status):
        decode(response(status=status))


def test_errors_with_a_status() -> None:
    error = {"message": "Wrong key", "type": "invalid_request_error", "code": "invalid_api_key"}
    reply = HTTPReply(status=401, headers=HEADERS, body=json.dumps({"error": error}).encode())
    explained = OpenAIResponses().explain(reply)
    assert type(explained) is AuthenticationError
    assert (explained.code, explained.request_id) == ("invalid_api_key", "req_1")


@pytest.mark.parametrize(
    "data",
    [b"", b"{oops", b"\xff", b"1", b"[]", b"{}", b'{"status":"ok"}', b'{"output":5}', b"[" * 100_000,
     b'{"output":[1]}', b'{"output":[{"type":"message","content":[{"text":5}]}]}',
     b'{"output":[{"type":"function_call","call_id":5,"name":"f"}]}'],
)  # fmt: skip
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(BackendError, match=r"no (JSON|response)"):
        decode(data)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "summary", "arguments", "call_id", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(place=st.sampled_from(["output", "status", "error", "usage", "id", "incomplete_details"]),
       junk=JUNK, item=st.sampled_from(["message", "reasoning", "function_call"]))  # fmt: skip
@settings(max_examples=300)
def test_junk_is_an_answer_or_an_error_and_never_a_crash(place: str, junk: Any, item: str) -> None:
    values = [response(MESSAGE) | {place: junk}]
    if isinstance(junk, dict):
        values.append(response({"type": item} | junk))
    for value in values:
        try:
            delta = decode(value)
        except BackendError:
            continue
        assert isinstance(delta.text, str)
        assert all(isinstance(call.arguments, str) for call in delta.tool_calls)
