"""Errors: every form that servers give them, and that nothing is too odd to be read."""

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
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat


def reply(value: Any, status: int = 200, **headers: str) -> HTTPReply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return HTTPReply(status=status, headers=names, body=data)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError), (401, AuthenticationError), (402, PermissionDeniedError),
        (403, PermissionDeniedError), (404, NotFoundError), (405, BadRequestError),
        (408, RequestTimeout), (409, BackendError), (413, BadRequestError), (422, BadRequestError),
        (429, RateLimitError), (498, RateLimitError), (500, ServerError), (503, OverloadedError),
        (529, OverloadedError), (302, BackendError),
    ],
)  # fmt: skip
def test_every_status_has_its_class(status: int, kind: type[BackendError]) -> None:
    value = {"error": {"message": "Because", "type": "t", "param": None, "code": "why"}}
    error = OpenAIChat().explain(reply(value, status, x_request_id="req_1", retry_after="7"))
    assert type(error) is kind
    assert str(error) == f"Because (HTTP {status})"
    assert (error.status, error.code) == (status, "why")
    assert (error.request_id, error.retry_after) == ("req_1", 7)


@pytest.mark.parametrize(
    ("value", "said", "code"),
    [
        ({"error": {"message": "m", "type": "exceed_context_size_error", "code": 400}}, "m", "exceed_context_size_error"),
        ({"error": {"message": "m", "type": "t", "code": None}}, "m", "t"),
        ({"error": {"message": "m", "type": "t", "code": "400"}}, "m", "t"),
        ({"error": "Unauthorized"}, "Unauthorized", None),
        ({"error": "text", "error_type": "validation"}, "text", None),
        ({"error": "not_found", "message": "m"}, "m", "not_found"),
        ({"object": "error", "message": "m", "type": "T", "code": 404}, "m", "T"),
        ({"detail": "m"}, "m", None),
        ({"detail": [{"loc": ["body", "seed"], "msg": "not an int"}]}, "body.seed: not an int", None),
        ({"message": "m", "code": "c"}, "m", "c"),
        ([{"error": {"message": "m"}}], "m", None),
        ({"error": {"why": 1}}, '{"why": 1}', None),
        ("m", "m", None),
        (b"Internal Server Error", "Internal Server Error", None),
        (b"", "the server gave no reason", None),
        (b"<!DOCTYPE html><html><title>502 Bad\n Gateway &amp; more</title>", "a web page came back instead of JSON: 502 Bad Gateway & more", None),
        (b"<html><body>no title", "a web page came back instead of JSON: <html><body>no title", None),
    ],
)  # fmt: skip
def test_every_form_of_an_error_is_read(value: Any, said: str, code: str | None) -> None:
    error = OpenAIChat().explain(reply(value, 400))
    assert (str(error), error.code) == (f"{said} (HTTP 400)", code)


@pytest.mark.parametrize(
    "value",
    [None, 5, [], [[]], {"error": {}}, {"error": [1]}, {"detail": [{"loc": 1}]}, b"\xff" * 9_000],
)
def test_no_error_is_too_odd_to_be_read(value: Any) -> None:
    error = OpenAIChat().explain(reply(value, 400))
    assert isinstance(error, BadRequestError) and len(str(error)) < 1_100


#: Values of every kind under the names that servers use.
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "stop", "²", "400"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            "error message detail code type status loc msg object choices delta content text "
            "reasoning tool_calls function function_call index id name arguments finish_reason "
            "usage prompt_tokens prompt_tokens_details cached_tokens x_groq refusal model "
            "logprobs top_logprobs tokens token_logprobs token logprob".split()
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def check_kinds(deltas: Sequence[ChatDelta]) -> None:
    for delta in deltas:
        texts = [delta.text, delta.reasoning, delta.model, delta.request_id]
        for call in delta.tool_calls:
            texts += [call.id, call.name, call.arguments]
        assert all(text is None or isinstance(text, str) for text in texts)


@given(junk, junk)
@settings(max_examples=300)
def test_junk_is_an_answer_or_an_error_and_never_a_crash(value: Any, inner: Any) -> None:
    choice = {"message": inner, "delta": inner, "finish_reason": "stop", "index": 0}
    for whole in (
        value,
        {"choices": [choice]},
        {"choices": [choice], "usage": value},
        {"error": inner},
    ):
        assert isinstance(OpenAIChat().explain(reply(whole, 400)), BackendError)
        with contextlib.suppress(BackendError):
            check_kinds(OpenAIChat().decode(reply(whole)))
        decoder = OpenAIChat().decoder({})
        data = f"data: {json.dumps(whole)}\n\n".encode()
        with contextlib.suppress(BackendError):
            check_kinds(decoder.feed(data))
            check_kinds(decoder.feed(data + b"data: [DONE]\n\n"))
            check_kinds(decoder.finish())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limit_exceeded", RateLimitError), ("insufficient_quota", RateLimitError),
        ("invalid_api_key", AuthenticationError), ("context_length_exceeded", PromptTooLongError),
        ("invalid_request_error", BadRequestError), ("server_error", ServerError),
    ],
)  # fmt: skip
def test_without_a_status_the_code_tells_the_class(code: str, kind: type[BackendError]) -> None:
    error = OpenAIChat().explain(reply({"error": {"message": "m", "code": code}}, 200))
    assert type(error) is kind


def test_a_date_to_come_back_at() -> None:
    headers = {"retry_after": "Fri, 01 Jan 2100 00:00:00 GMT"}
    waits = OpenAIChat().explain(reply({"error": "busy"}, 429, **headers)).retry_after
    assert waits is not None and waits > 1e8
