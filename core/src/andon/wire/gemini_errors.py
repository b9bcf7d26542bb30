"""What Google's APIs say when they fail, read into andon's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from andon.errors import AuthenticationError, BackendError, BadRequestError
from andon.wire import openai_errors
from andon.wire.dialect import HTTPReply
from andon.wire.json_values import read_json
from andon.wire.problems import Problem, to_error

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
    try:
        problem = _read(read_json(reply.body))
    except ValueError:
        problem = None
    if problem is None:
        # A gateway in between: those speak in many forms.
        return openai_errors.explain(reply)
    status = reply.status if reply.status >= 400 else problem.status
    return _to_error(problem, status, reply.headers)


def explain_value(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside an answer.

    :param value: the JSON value that says so.
    :param headers: the headers that the answer came with.
    """
    problem = _read(value)
    if problem is None:
        return openai_errors.explain_event(value, headers)
    return _to_error(problem, problem.status, headers)


def _to_error(problem: Problem, status: int | None, headers: Mapping[str, str]) -> BackendError:
    error = to_error(problem, status, headers)
    better = _better(error, problem)
    if better is None:
        return error
    return better(
        str(error),
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def _better(error: BackendError, problem: Problem) -> type[BackendError] | None:
    """Return which error a bad request really is, or None where it is one."""
    if not isinstance(error, BadRequestError):
        return None
    if problem.kind in _KEY_REASONS:
        return AuthenticationError
    # A server that gives up says nothing against the request.
    return BackendError if problem.code == "CANCELLED" else None


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
