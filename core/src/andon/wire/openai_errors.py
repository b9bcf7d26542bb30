"""What servers of OpenAI's protocol say when they fail, read into andon's errors."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from andon.wire.dialect import HTTPReply
from andon.wire.retry import parse_retry_after

#: Headers that carry the provider's id of a request, the usual one first.
_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")

#: Statuses that do not mean what their hundreds suggest.
_BY_STATUS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: PermissionDeniedError,  # the account has no credit; another backend may do better
    403: PermissionDeniedError,
    407: PermissionDeniedError,  # a proxy's
    408: RequestTimeout,
    409: BackendError,  # a lock that somebody else holds: the same may work later
    425: RateLimitError,
    429: RateLimitError,
    498: RateLimitError,  # Groq's flex tier has no room
}

#: An error inside a stream has no status of its own; its code or type says what it is.
_BY_WORD: tuple[tuple[str, type[BackendError]], ...] = (
    (r"rate_?limit|quota|too_?many_?requests|capacity", RateLimitError),
    (r"api_?key|authenti|unauthorized", AuthenticationError),
    (r"permission|forbidden|billing", PermissionDeniedError),
    (r"time_?out", RequestTimeout),
    (r"context_|bad_?request|invalid|not_?found|validation|content_filter", BadRequestError),
)

_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class _Problem:
    message: str = ""
    code: str | None = None
    kind: str = ""
    status: int | None = None


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    problem = _read(reply.body)
    status = reply.status
    if status < 400 and problem.status is not None:
        status = problem.status
    return _error(problem, status, reply.headers, request_id(reply.headers))


def explain_event(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside a stream.

    :param value: the event's JSON value, or its text.
    :param headers: the headers that the stream came with.
    """
    problem = _find(value)
    return _error(problem, problem.status, headers, request_id(headers))


def malformed(what: str, data: bytes | str) -> BackendError:
    """Return the error for bytes that no such server sends.

    :param what: what they should have been.
    :param data: the bytes, or the text that they stand for.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    return BackendError(
        f"the server sent {len(raw)} bytes that are no {what}: {raw[:200]!r}; check that the base "
        "URL is that of an OpenAI-compatible server"
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of the request, or None."""
    return next((headers[name] for name in _ID_HEADERS if headers.get(name)), None)


def _error(
    problem: _Problem, status: int | None, headers: Mapping[str, str], identifier: str | None
) -> BackendError:
    message = problem.message[:_LONGEST] or "the server gave no reason"
    if status is not None:
        message = f"{message} (HTTP {status})"
    return _class(problem, status)(
        message,
        status=status,
        code=problem.code,
        request_id=identifier,
        retry_after=parse_retry_after(headers, time.time()),
    )


def _class(problem: _Problem, status: int | None) -> type[BackendError]:
    if status is not None and status >= 500:
        return ServerError
    if status is not None and status >= 400:
        return _BY_STATUS.get(status, BadRequestError)
    if status is not None and status >= 300:
        return BackendError
    words = f"{problem.code or ''} {problem.kind}"
    for pattern, found in _BY_WORD:
        if re.search(pattern, words, re.IGNORECASE):
            return found
    return ServerError


def _read(body: bytes) -> _Problem:
    text = body.decode("utf-8", "replace").strip()
    try:
        return _find(json.loads(text))
    except (ValueError, RecursionError):
        return _Problem(_from_page(text))


def _from_page(text: str) -> str:
    # A proxy in between answers with a page of its own; its title says most.
    from html import unescape

    if not re.match(r"<(!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
        return text
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1", text[:10_000], re.IGNORECASE | re.DOTALL)
    said = unescape(" ".join(title[2].split())) if title else text[:200]
    return f"a web page came back instead of JSON: {said}"


def _find(value: Any) -> _Problem:
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        return _Problem(value if isinstance(value, str) else json.dumps(value))
    inner = value.get("error")
    if isinstance(inner, Mapping):
        return _from_fields(inner)
    if isinstance(inner, str) and inner:
        # Either the message itself, or a code with its message beside it.
        beside = value.get("message")
        kind = str(value.get("error_type") or value.get("type") or "")
        return _Problem(beside, inner) if isinstance(beside, str) else _Problem(inner, kind=kind)
    if value.get("detail"):
        return _Problem(_from_detail(value["detail"]))
    return _from_fields(value)


def _from_fields(fields: Mapping[str, Any]) -> _Problem:
    code, kind, message = fields.get("code"), fields.get("type"), fields.get("message")
    number = _status(code) or _status(fields.get("status"))
    # llama.cpp and vLLM give the status as the code; their type is the better name.
    named = code if isinstance(code, str) and code and not code.isdigit() else kind
    return _Problem(
        message if isinstance(message, str) and message else json.dumps(dict(fields)),
        named if isinstance(named, str) and named else None,
        kind if isinstance(kind, str) else "",
        number,
    )


def _status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value, re.ASCII):
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    return value if known else None


def _from_detail(detail: Any) -> str:
    # FastAPI's: a text, or a list of what is wrong with which field.
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list) and all(isinstance(item, Mapping) for item in detail):
        return "; ".join(map(_from_finding, detail))
    return json.dumps(detail)


def _from_finding(finding: Mapping[str, Any]) -> str:
    place = finding.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {finding.get('msg', '')}"
