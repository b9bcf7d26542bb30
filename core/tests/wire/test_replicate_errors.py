"""What Replicate says when it fails, and which of andon's errors that is."""

from __future__ import annotations

import json

import pytest

from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from andon.wire.dialect import HTTPReply
from andon.wire.replicate import ReplicatePredictions


def explain(status: int, body: object, **headers: str) -> BackendError:
    text = body if isinstance(body, str) else json.dumps(body)
    reply = HTTPReply(status=status, headers=headers, body=text.encode())
    return ReplicatePredictions().explain(reply)


@pytest.mark.parametrize(
    ("status", "title", "detail", "kind"),
    [
        (401, "Unauthenticated", "You did not pass a valid token", AuthenticationError),
        (402, "Insufficient credit", "Go to your billing page", PermissionDeniedError),
        (403, "Forbidden", "You may not do that", PermissionDeniedError),
        (404, "Not found", "The requested resource could not be found.", NotFoundError),
        (422, "Input validation failed", "- input.prompt: Invalid type", BadRequestError),
        (429, "Too many requests", "Request was throttled.", RateLimitError),
        (500, "Internal server error", "It broke", ServerError),
    ],
)
def test_problems(status: int, title: str, detail: str, kind: type[BackendError]) -> None:
    error = explain(status, {"title": title, "detail": detail, "status": status})
    assert type(error) is kind
    assert str(error) == f"{title}: {detail} (HTTP {status})"
    assert error.status == status


def test_fields_that_are_wrong() -> None:
    fields = [{"type": "required", "field": "", "description": "input is required"}, 5]
    error = explain(422, {"detail": "Invalid", "invalid_fields": fields})
    assert "input is required" in str(error)


@pytest.mark.parametrize(
    ("more", "headers", "seconds"),
    [
        ({"detail": "Your rate limit resets in ~30s."}, {}, 30),
        ({"detail": "Your rate limit resets in ~2m."}, {}, 120),
        ({"detail": "throttled", "retry_after": 5}, {}, 5),
        ({"detail": "resets in ~30s", "retry_after": 5}, {"retry-after": "7"}, 7),
        ({"detail": "throttled"}, {}, None),
        ({"detail": "throttled", "retry_after": True}, {}, None),
    ],
)
def test_how_long_to_wait(
    more: dict[str, object], headers: dict[str, str], seconds: float | None
) -> None:
    assert explain(429, {"status": 429, **more}, **headers).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html><title>502 Bad Gateway</title>", "502 Bad Gateway"),
        ({"detail": [{"loc": ["body", "input"], "msg": "missing"}]}, "body.input: missing"),
        ("upstream connect error", "upstream connect error"),
        ("", "the server gave no reason"),
        ([], r"\[\]"),
    ],
)
def test_what_others_say(body: object, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        raise explain(502, body)
