"""What Ollama says when it fails, read into andon's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.errors import BackendError
from andon.wire.dialect import HTTPReply
from andon.wire.openai_errors import explain_by, explain_event_by
from andon.wire.problems import Problem


def is_error(value: Any) -> bool:
    """Return whether a JSON value is an error and no answer."""
    return isinstance(value, Mapping) and bool(value.get("error"))


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    return explain_by(_read, reply)


def explain_event(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside a stream.

    :param value: the line's JSON value.
    :param headers: the headers that the stream came with.
    """
    return explain_event_by(_read, value, headers)


def _read(value: Any) -> Problem | None:
    message = value.get("error") if isinstance(value, Mapping) else None
    if not isinstance(message, str):
        return None
    address = value.get("signin_url")
    if isinstance(address, str) and address:
        return Problem(f"{message}: sign the Ollama server in at {address}")
    if message.startswith("model ") and message.endswith(" not found"):
        message = f"{message}; fetch it with: ollama pull"
    return Problem(message)
