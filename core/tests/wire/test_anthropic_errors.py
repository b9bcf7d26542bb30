"""Anthropic's errors, and that nothing is too odd to be read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.chat import ChatDelta
from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from andon.testing.providers.anthropic import AnthropicProvider
from andon.wire.anthropic_messages import AnthropicMessages
from andon.wire.dialect import HTTPReply


def reply(value: Any, status: int = 200, **headers: str) -> HTTPReply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return HTTPReply(status=status, headers=names, body=data)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, BadRequestError, "invalid_request_error"),
        (401, AuthenticationError, "authentication_error"),
        (402, PermissionDeniedError, "billing_error"),
        (403, PermissionDeniedError, "permission_error"),
        (404, NotFoundError, "not_found_error"),
        (408, RequestTimeout, "invalid_request_error"),
        (409, BackendError, "conflict_error"),
        (413, BadRequestError, "request_too_large"),
        (422, BadRequestError, "invalid_request_error"),
        (429, RateLimitError, "rate_limit_error"),
        (500, ServerError, "api_error"),
        (503, OverloadedError, "api_error"),
        (504, RequestTimeout, "timeout_error"),
        (529, OverloadedError, "overloaded_error"),
    ],
)
def test_every_status_has_its_class(status: int, kind: type[BackendError], code: str) -> None:
    said = AnthropicProvider().error(status, "Because")
    headers = {**said.headers, "retry-after": "7"}
    error = AnthropicMessages().explain(HTTPReply(status=status, headers=headers, body=said.body))
    assert type(error) is kind
    assert str(error) == f"Because (HTTP {status})"
    assert (error.status, error.code, error.retry_after) == (status, code, 7)
    assert error.request_id == said.headers["request-id"]


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 200251 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000",
    ],
)
def test_a_prompt_that_is_too_long(message: str) -> None:
    error = AnthropicMessages().explain(AnthropicProvider().error(400, message))
    assert type(error) is PromptTooLongError


def test_the_body_tells_the_id_where_no_header_does() -> None:
    value = {"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": "req_2"}
    assert AnthropicMessages().explain(reply(value, 500)).request_id == "req_2"
    assert AnthropicMessages().explain(reply(value, 500, request_id="req_1")).request_id == "req_1"


def test_an_error_in_a_success_goes_by_its_type() -> None:
    value = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    error = AnthropicMessages().explain(reply(value, 200))
    assert (type(error), str(error), error.status) == (OverloadedError, "Busy", None)


def test_details_have_the_finer_code() -> None:
    details = {"error_code": "image_dimensions_too_large", "paths": []}
    value = {"error": {"type": "invalid_request_error", "message": "m", "details": details}}
    error = AnthropicMessages().explain(reply(value, 400))
    assert (type(error), error.code) == (BadRequestError, "image_dimensions_too_large")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"error": {"message": "m", "code": 400}}, "m"),
        ({"error": "Unauthorized"}, "Unauthorized"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"type": "error", "error": {"type": 5, "message": "m"}}, "m"),
        (b"upstream connect error", "upstream connect error"),
        (b"", "the server gave no reason"),
        (b"<html><title>502 Bad Gateway</title>", "a web page came back instead of JSON: 502 Bad Gateway"),
    ],
)  # fmt: skip
def test_gateways_in_between_are_understood(value: Any, said: str) -> None:
    assert str(AnthropicMessages().explain(reply(value, 400))) == f"{said} (HTTP 400)"


@pytest.mark.parametrize(
    "value", [None, 5, [], {"error": {}}, {"error": [1]}, b"[" * 100_000, b"\xff" * 9_000]
)
def test_no_error_is_too_odd_to_be_read(value: Any) -> None:
    error = AnthropicMessages().explain(reply(value, 400))
    assert isinstance(error, BadRequestError)
    assert len(str(error)) < 1_100


#: Values of every kind under the names that Anthropic uses.
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.sampled_from(["", "text", "thinking", "tool_use", "text_delta", "input_json_delta", "signature_delta", "end_turn", "{"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            "type index delta content content_block message text thinking signature partial_json id "
            "name input stop_reason usage input_tokens output_tokens output_tokens_details "
            "cache_read_input_tokens model error details error_code request_id data capabilities".split()
        ),
        inner,
        max_size=5,
    ),
    max_leaves=14,
)  # fmt: skip

EVENTS = "message_start content_block_start content_block_delta content_block_stop message_delta message_stop error".split()


def check_kinds(deltas: Sequence[ChatDelta]) -> None:
    for delta in deltas:
        texts = [
            delta.text,
            delta.reasoning,
            delta.model,
            delta.request_id,
            delta.raw_finish_reason,
        ]
        for call in delta.tool_calls:
            texts += [call.id, call.name, call.arguments]
        assert all(text is None or isinstance(text, str) for text in texts)


@given(junk)
@settings(max_examples=300)
def test_junk_is_an_answer_or_an_error_and_never_a_crash(value: Any) -> None:
    for whole in (
        value,
        {"content": value, "stop_reason": "end_turn"},
        {"content": [value], "stop_reason": "x", "usage": value},
    ):
        assert isinstance(AnthropicMessages().explain(reply(whole, 400)), BackendError)
        with contextlib.suppress(BackendError):
            check_kinds(AnthropicMessages().decode(reply(whole)))


@given(st.lists(st.tuples(st.sampled_from(EVENTS), junk, junk), max_size=5))
@settings(max_examples=300)
def test_junk_in_a_stream_is_an_error_and_never_a_crash(events: list[tuple[str, Any, Any]]) -> None:
    decoder = AnthropicMessages().decoder({})
    with contextlib.suppress(BackendError):
        for kind, value, inner in events:
            event = {
                "type": kind,
                "index": 0,
                "content_block": inner,
                "delta": inner,
                "message": inner,
                "usage": value,
            }
            check_kinds(decoder.feed(f"data: {json.dumps(event)}\n\n".encode()))
            check_kinds(decoder.feed(f"data: {json.dumps(value)}\n\n".encode()))
        check_kinds(decoder.finish())
