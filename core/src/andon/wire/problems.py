"""What a provider says when it fails, and which of andon's errors that is. Pure functions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContentFilterError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from andon.wire.dialect import HTTPReply
from andon.wire.json_values import read_json
from andon.wire.retry import parse_retry_after

#: Headers that carry the provider's id of a request, the usual one first.
_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")

#: Statuses that do not mean what their hundreds suggest.
_BY_STATUS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: PermissionDeniedError,  # the account has no credit; another backend may do better
    403: PermissionDeniedError,
    404: NotFoundError,
    407: PermissionDeniedError,  # a proxy's
    408: RequestTimeout,
    409: BackendError,  # a lock that somebody else holds: the same may work later
    424: ServerError,  # TGI and Bedrock: the model itself failed
    425: RateLimitError,
    429: RateLimitError,
    498: RateLimitError,  # Groq's flex tier has no room
    503: OverloadedError,
    504: RequestTimeout,
    529: OverloadedError,
}

#: An error inside a stream has no status of its own; its code or type says what it is.
_BY_WORD: tuple[tuple[str, type[BackendError]], ...] = (
    (r"rate_?limit|quota|too_?many_?requests|throttl|resource_exhausted", RateLimitError),
    (r"overloaded|unavailable|capacity", OverloadedError),
    (r"api_?key|authenti|unauthori[sz]ed", AuthenticationError),
    (r"permission|forbidden|billing|access_?denied", PermissionDeniedError),
    (r"time_?out|deadline", RequestTimeout),
    (r"(model_|resource_)?not_?found", NotFoundError),
    (r"content_filter|(content|bio)_policy|policy_violation|responsible_?ai", ContentFilterError),
    (r"context_|bad_?request|invalid|validation|too_large", BadRequestError),
)

#: How servers say that a prompt is too long, collected from their sources and documentation.
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|exceed_context_size_error"
    r"|exceeds? the (available |model's )?context (size|length|window)"
    r"|context size has been exceeded|prompt is too long|input is too long"
    r"|exceed context (limit|window)|input tokens exceed the configured limit"
    r"|`inputs` tokens \+ `max_new_tokens`|`inputs` must have less than"
    r"|longer than the (model's )?(maximum )?context length"
    r"|exceeds the maximum number of tokens allowed",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content_filter|(content|bio)_policy|policy_?violation|guardrail", re.IGNORECASE
)

_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What a provider says of a failure.

    :param message: its own words.
    :param code: its own code.
    :param kind: its own type of error, where that is another word than the code.
    :param status: the HTTP status that it names itself, where it does.
    :param request_id: its id of the request, where the body tells it.
    :param retry_after: seconds to wait, where the body tells them.
    """

    message: str = ""
    code: str | None = None
    kind: str = ""
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


#: Given the class of an error that the usual signs tell, and what the provider says, returns the
#: class that it has.
Refine: TypeAlias = Callable[[type[BackendError], Problem], type[BackendError]]


def as_told(kind: type[BackendError], problem: Problem) -> type[BackendError]:
    """Return the class that the usual signs tell."""
    return kind


def to_error(
    problem: Problem,
    status: int | None,
    headers: Mapping[str, str],
    refine: Refine = as_told,
) -> BackendError:
    """Return andon's error for a provider's.

    :param problem: what the provider says.
    :param status: the HTTP status, or None for an error inside a stream.
    :param headers: the reply's headers, names in lower case.
    :param refine: what the provider's own words tell beyond the usual signs.
    """
    message = problem.message[:_LONGEST] or "the server gave no reason"
    if status is not None:
        message = f"{message} (HTTP {status})"
    stated = parse_retry_after(headers, time.time())
    return refine(classify(problem, status), problem)(
        message,
        status=status,
        code=problem.code,
        request_id=request_id(headers) or problem.request_id,
        retry_after=problem.retry_after if stated is None else stated,
    )


def classify(problem: Problem, status: int | None) -> type[BackendError]:
    """Return which of andon's errors a provider's is; see :func:`to_error`."""
    words = f"{problem.code or ''} {problem.kind}"
    found = _by_status(status) if status is not None and status >= 300 else _by_word(words)
    if issubclass(found, BadRequestError | ServerError):
        # Some servers say with a 500 that a prompt is too long.
        if _TOO_LONG.search(f"{words} {problem.message}"):
            return PromptTooLongError
        if found is BadRequestError and _FILTERED.search(words):
            return ContentFilterError
    return found


def _by_status(status: int) -> type[BackendError]:
    fallback = BadRequestError if status >= 400 else BackendError
    return _BY_STATUS.get(status, ServerError if status >= 500 else fallback)


def _by_word(words: str) -> type[BackendError]:
    for pattern, found in _BY_WORD:
        if re.search(pattern, words, re.IGNORECASE):
            return found
    return ServerError


def malformed(what: str, data: bytes | str) -> BackendError:
    """Return the error for bytes that no server of the protocol sends.

    :param what: what they should have been.
    :param data: the bytes, or the text that they stand for.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    return BackendError(
        f"the server sent {len(raw)} bytes that are no {what}: {raw[:200]!r}; check that the base "
        "URL is that of a server of this protocol"
    )


def json_of(reply: HTTPReply) -> Any:
    """Return the JSON that a reply holds.

    :raises BackendError: it holds none.
    """
    try:
        return read_json(reply.body)
    except ValueError:
        raise malformed("JSON", reply.body) from None


def request_id(headers: Mapping[str, str], *names: str) -> str | None:
    """Return the provider's id of the request, or None.

    :param headers: the reply's headers, names in lower case.
    :param names: headers that carry it, besides the usual ones.
    """
    for name in (*names, *_ID_HEADERS):
        found = headers.get(name)
        if found:
            return found
    return None


def page_text(text: str) -> str:
    """Return what a body that is not JSON says: itself, or the title of a proxy's web page."""
    from html import unescape

    if not re.match(r"<(!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
        return text
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1", text[:10_000], re.IGNORECASE | re.DOTALL)
    said = unescape(" ".join(title[2].split())) if title else text[:200]
    return f"a web page came back instead of JSON: {said}"
