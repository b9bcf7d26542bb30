"""What Anthropic says when it fails, read into andon's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.errors import BackendError
from andon.wire.dialect import HTTPReply
from andon.wire.openai_errors import explain_by, explain_event_by
from andon.wire.problems import Problem


def is_error(value: Any) -> bool:
    """Return whether a JSON value is an error and no answer."""
    return isinstance(value, Mapping) and (value.get("type") == "error" or bool(value.get("error")))


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    # Anthropic's own words are for people and may change; the status and the type may not.
    return explain_by(_read, reply)


def explain_event(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside a stream.

    :param value: the event's JSON value, or its text.
    :param headers: the headers that the stream came with.
    """
    return explain_event_by(_read, value, headers)


def _read(value: Any) -> Problem | None:
    error = value.get("error") if isinstance(value, Mapping) else None
    if not isinstance(error, Mapping):
        return None
    kind, message = error.get("type"), error.get("message")
    if not (isinstance(kind, str) and isinstance(message, str)):
        return None
    details = error.get("details")
    finer = details.get("error_code") if isinstance(details, Mapping) else None
    identifier = value.get("request_id")
    return Problem(
        message,
        code=finer if isinstance(finer, str) and finer else kind,
        kind=kind,
        request_id=identifier if isinstance(identifier, str) else None,
    )
