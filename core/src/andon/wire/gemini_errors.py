"""What Google's APIs say when they fail, read into andon's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from andon.errors import AuthenticationError, BackendError, BadRequestError
from andon.wire.dialect import HTTPReply
from andon.wire.openai_errors import explain_by, explain_event_by
from andon.wire.problems import Problem

#: The HTTP statuses of Google's words for failures (googleapis, google/rpc/code.proto).
_STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
}

#: Reasons of a 400 which say that the key is to blame and not the request.
_KEY_REASONS = {"API_KEY_INVALID", "API_KEY_EXPIRED"}

_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    return explain_by(_read, reply, _refine)


def explain_value(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside an answer.

    :param value: the JSON value that says so.
    :param headers: the headers that the answer came with.
    """
    return explain_event_by(_read, value, headers, _refine)


def _refine(kind: type[BackendError], problem: Problem) -> type[BackendError]:
    if not issubclass(kind, BadRequestError):
        return kind
    if problem.kind in _KEY_REASONS:
        return AuthenticationError
    # A server that gives up says nothing against the request.
    return BackendError if problem.code == "CANCELLED" else kind


def _read(value: Any) -> Problem | None:
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else None
    if not (isinstance(error, Mapping) and isinstance(message, str)):
        return None
    word, number = error.get("status"), error.get("code")
    word = word if isinstance(word, str) and word else None
    known = type(number) is int and 400 <= number <= 599
    return Problem(
        message,
        code=word,
        kind=_detail(error, "reason"),
        status=number if known else _STATUSES.get(word or ""),
        request_id=_detail(error, "requestId") or None,
        retry_after=_seconds(_detail(error, "retryDelay")),
    )


def _detail(error: Mapping[str, Any], field: str) -> str:
    """Return the first text of a name among an error's details."""
    found = (detail.get(field) for detail in _details(error))
    return next((text for text in found if isinstance(text, str) and text), "")


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    if isinstance(details, list):
        yield from (detail for detail in details if isinstance(detail, Mapping))


def _seconds(duration: str) -> float | None:
    found = _SECONDS.fullmatch(duration)
    return float(found[1]) if found else None
