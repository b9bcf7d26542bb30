"""What Ollama says when it fails, and which of andon's errors that is."""

from __future__ import annotations

import json

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
    ServerError,
)
from andon.wire.dialect import HTTPReply
from andon.wire.ollama import OllamaChat

BUSY = "server busy, please try again.  maximum pending requests exceeded"
LONG = "the prompt is longer than the context length currently available to the model; shorten it"


def explain(status: int, body: object, **headers: str) -> BackendError:
    text = body if isinstance(body, str) else json.dumps(body)
    return OllamaChat().explain(HTTPReply(status=status, headers=headers, body=text.encode()))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, '"llama2" does not support thinking', BadRequestError),
        (400, LONG, PromptTooLongError),
        (500, "request exceeds the available context size, try increasing it", PromptTooLongError),
        (401, "unauthorized", AuthenticationError),
        (403, "ollama cloud is disabled: remote inference is unavailable", PermissionDeniedError),
        (404, 'model "x" not found, try pulling it first', NotFoundError),
        (429, "too many requests", RateLimitError),
        (500, "llama runner process has terminated", ServerError),
        (502, "bad gateway", ServerError),
        (503, BUSY, OverloadedError),
    ],
)
def test_documented_errors(status: int, message: str, kind: type[BackendError]) -> None:
    error = explain(status, {"error": message}, **{"x-request-id": "r-1"})
    assert type(error) is kind
    assert (error.status, error.request_id) == (status, "r-1")
    assert message in str(error)


def test_a_model_that_is_not_there() -> None:
    error = explain(404, {"error": "model 'llama9' not found"})
    assert "fetch it with: ollama pull" in str(error)


def test_a_cloud_that_wants_a_sign_in() -> None:
    address = "https://ollama.com/connect?name=host&key=abc"
    error = explain(401, {"error": "unauthorized", "signin_url": address})
    assert type(error) is AuthenticationError
    assert address in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html><title>502 Bad Gateway</title>", "502 Bad Gateway"),
        ({"error": {"message": "no capacity"}}, "no capacity"),
        ("404 page not found", "404 page not found"),
        ("", "the server gave no reason"),
        ([], r"\[\]"),
    ],
)
def test_what_others_say(body: object, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        raise explain(502, body)


def test_how_long_to_wait() -> None:
    assert explain(429, {"error": "slow down"}, **{"retry-after": "7"}).retry_after == 7
