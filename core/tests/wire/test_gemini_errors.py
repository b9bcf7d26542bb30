"""Errors: what Google says of them, and which of andon's they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from andon.wire.gemini_generate import GeminiGenerateContent

RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20.5s"}
INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}
REQUEST = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "r-7"}


def reply(status: int, body: Any, **headers: str) -> HTTPReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPReply(status=status, headers=headers, body=data)


def error(code: int, status: str, message: str = "It failed.", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, **more}}


def explain(reply: HTTPReply) -> BackendError:
    return GeminiGenerateContent().explain(reply)


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body]], ids=["object", "list"])
@pytest.mark.parametrize(
    ("code", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", BadRequestError),
        (400, "FAILED_PRECONDITION", BadRequestError),
        (401, "UNAUTHENTICATED", AuthenticationError),
        (403, "PERMISSION_DENIED", PermissionDeniedError),
        (404, "NOT_FOUND", NotFoundError),
        (429, "RESOURCE_EXHAUSTED", RateLimitError),
        (499, "CANCELLED", BackendError),
        (500, "INTERNAL", ServerError),
        (503, "UNAVAILABLE", OverloadedError),
        (504, "DEADLINE_EXCEEDED", RequestTimeout),
    ],
)
def test_documented_errors(code: int, word: str, kind: type[BackendError], wrap: Any) -> None:
    found = explain(reply(code, wrap(error(code, word))))
    assert type(found) is kind
    assert (str(found), found.status, found.code) == (f"It failed. (HTTP {code})", code, word)


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("UNAVAILABLE", 503, OverloadedError),
        ("RESOURCE_EXHAUSTED", 429, RateLimitError),
        ("FAILED_PRECONDITION", 400, BadRequestError),
        ("UNKNOWN", 500, ServerError),
        ("SOMETHING_NEW", None, ServerError),
    ],
)
def test_a_word_alone_says_the_status(word: str, status: int | None, kind: Any) -> None:
    found = explain(reply(200, {"error": {"message": "It failed.", "status": word}}))
    assert (type(found), found.status, found.code) == (kind, status, word)


def test_details_tell_when_to_ask_again_and_the_request() -> None:
    details = ["?", INFO, RETRY, REQUEST]
    found = explain(reply(429, error(429, "RESOURCE_EXHAUSTED", details=details)))
    assert (found.retry_after, found.request_id) == (20.5, "r-7")
    header = {"retry-after": "3", "x-request-id": "h-1"}
    found = explain(reply(429, error(429, "RESOURCE_EXHAUSTED", details=details), **header))
    assert (found.retry_after, found.request_id) == (3, "h-1")


@pytest.mark.parametrize("delay", ["", "-3s", "soon", "1e9s", 5, None, "9" * 5000 + "s"])
def test_delays_that_are_none(delay: Any) -> None:
    detail = {"retryDelay": delay}
    found = explain(reply(429, error(429, "RESOURCE_EXHAUSTED", details=[detail])))
    assert found.retry_after is None


def test_a_prompt_that_is_too_long() -> None:
    said = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
    found = explain(reply(400, error(400, "INVALID_ARGUMENT", said)))
    assert type(found) is PromptTooLongError
    assert said in str(found)


def test_a_bad_key_is_no_bad_request() -> None:
    details = [{**INFO, "reason": "API_KEY_INVALID"}]
    found = explain(
        reply(400, error(400, "INVALID_ARGUMENT", "API key not valid.", details=details))
    )
    assert type(found) is AuthenticationError
    assert (str(found), found.status) == ("API key not valid. (HTTP 400)", 400)
    assert found.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b'{"message": "no route"}', "no route"),
        (b'{"error": "plain"}', "plain"),
        (b'{"error": {"code": 502}}', "502"),
        (b"[]", ""),
        (b"null", ""),
        (b"", "no reason"),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
    ],
)  # fmt: skip
def test_what_a_gateway_says(body: bytes, said: str) -> None:
    found = explain(reply(502, body))
    assert type(found) is ServerError
    assert said in str(found)
    assert found.status == 502
