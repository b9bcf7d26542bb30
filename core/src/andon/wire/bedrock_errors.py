"""What Bedrock says when it fails, read into andon's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
from andon.wire import openai_errors
from andon.wire.dialect import HTTPReply
from andon.wire.event_stream import Frame
from andon.wire.json_values import read_json
from andon.wire.problems import Problem, page_text, to_error

#: The header that names the error; a namespace may stand before the name, an address behind it.
_TYPE = "x-amzn-errortype"

#: What the names mean, in lower case and without "exception": inside a stream they begin with a
#: small letter. The service model of bedrock-runtime, and AWS's common errors
#: (docs.aws.amazon.com, Common Errors).
_BY_TYPE: Mapping[str, type[BackendError]] = {
    "accessdenied": PermissionDeniedError,
    "expiredtoken": AuthenticationError,
    "incompletesignature": AuthenticationError,
    "internalfailure": ServerError,
    "internalserver": ServerError,
    "invalidclienttokenid": AuthenticationError,
    "invalidsignature": AuthenticationError,
    "missingauthenticationtoken": AuthenticationError,
    # The model itself failed, whatever the status 424 says of the request.
    "modelerror": ServerError,
    "modelnotready": OverloadedError,
    "modelstreamerror": ServerError,
    "modeltimeout": RequestTimeout,
    "notauthorized": PermissionDeniedError,
    "optinrequired": PermissionDeniedError,
    "requestexpired": AuthenticationError,
    "resourcenotfound": NotFoundError,
    "servicequotaexceeded": RateLimitError,
    "serviceunavailable": OverloadedError,
    "signaturedoesnotmatch": AuthenticationError,
    "throttling": RateLimitError,
    "unknownoperation": NotFoundError,
    "unrecognizedclient": AuthenticationError,
    "validation": BadRequestError,
}

#: How models on Bedrock say that a prompt is too long, besides the words that everybody knows.
_TOO_LONG = re.compile(
    r"too many input tokens|input tokens exceeded|number of input tokens exceeds"
    r"|prompt contains \d+ tokens|input length and `?max_tokens`? exceed",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model identifier is invalid", re.IGNORECASE)
#: A wrong API key is told with the name that a missing permission has.
_KEY = re.compile(r"\bAPI key\b|bearer token", re.IGNORECASE)


def is_error(value: Any) -> bool:
    """Return whether a JSON value is an error and no answer."""
    said = isinstance(value, Mapping) and bool({"message", "Message", "__type"} & value.keys())
    return said and "output" not in value


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    name = _short(reply.headers.get(_TYPE))
    try:
        value = read_json(reply.body)
    except ValueError:
        value = None
    if not (name or is_error(value)):
        # A gateway in between: those speak in many forms.
        return openai_errors.explain(reply)
    problem = _problem(name or _short(_field(value, "__type", "code")), value, reply.body)
    status = reply.status if reply.status >= 300 else None
    return to_error(problem, status, reply.headers, _refine)


def explain_frame(frame: Frame, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside a stream.

    :param frame: a frame of the message type ``exception`` or ``error``.
    :param headers: the headers that the stream came with.
    """
    try:
        value = read_json(frame.payload)
    except ValueError:
        value = None
    name = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
    said = frame.headers.get(":error-message")
    problem = _problem(_short(name), value, frame.payload)
    if isinstance(said, str) and said:
        problem = Problem(said, problem.code)
    return to_error(problem, None, headers, _refine)


def explain_stop(reason: str, headers: Mapping[str, str]) -> BackendError | None:
    """Return the error for an answer that is none, or None for any other stop reason.

    :param reason: why the answer ended: the model may have written what nobody can read.
    :param headers: the headers that the answer came with.
    """
    if not reason.startswith("malformed_"):
        return None
    said = f"the model's answer is of no use: it ended with the stop reason {reason!r}; ask again"
    return to_error(Problem(said, reason), None, headers)


def _problem(name: str, value: Any, body: bytes) -> Problem:
    message = _field(value, "message", "Message", "originalMessage")
    if not message:
        message = page_text(body.decode("utf-8", "replace").strip())
    return Problem(message, name or None)


def _field(value: Any, *names: str) -> str:
    if not isinstance(value, Mapping):
        return ""
    found = (value.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")


def _short(name: Any) -> str:
    """Return an error's name: ``aws.x#ValidationException:http://…`` has things around it."""
    text = name if isinstance(name, str) else ""
    return text.partition(":")[0].rpartition("#")[2].strip()


def _refine(kind: type[BackendError], problem: Problem) -> type[BackendError]:
    """Return the class that the error's name stands for, where that says more."""
    name = (problem.code or "").lower().removesuffix("exception")
    named = _BY_TYPE.get(name, kind)
    if named is BadRequestError:
        if _TOO_LONG.search(problem.message):
            return PromptTooLongError
        named = NotFoundError if _NO_MODEL.search(problem.message) else named
    if named is PermissionDeniedError and _KEY.search(problem.message):
        return AuthenticationError
    return kind if issubclass(kind, named) else named
