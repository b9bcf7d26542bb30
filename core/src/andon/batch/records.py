"""The lines of a batch: requests read, answers written.

Source of the shapes: the OpenAPI document of OpenAI's API, ``BatchRequestInput`` and
``BatchRequestOutput``, as the openai SDK describes them (3.54, 2026-10).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from andon.chat import ChatResponse
from andon.errors import AndonError, AnswerLost, BackendError, InvalidRequestError
from andon.wire.openai_server import completion, error_reply, read_call

#: The one kind of request that is answered.
URL = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One line of the requests.

    :param custom_id: its name, which no other line of the file has.
    :param body: what is asked, as for ``/v1/chat/completions``.
    """

    custom_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One line of the answers.

    :param custom_id: the request's name.
    :param line: the line's JSON text, without the line break.
    :param failed: whether it says what went wrong.
    :param lost: whether it says that nobody knows the answer, which may have been paid for.
    :param cost_usd: what it cost, in US dollars.
    """

    custom_id: str
    line: str
    failed: bool = False
    lost: bool = False
    cost_usd: Decimal = Decimal(0)


def read_requests(path: Path) -> Iterator[BatchRequest]:
    """Read requests, one after the other.

    :param path: the file.
    :raises InvalidRequestError: a line is no request; says which and why.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield read_request(line)
                except InvalidRequestError as error:
                    raise InvalidRequestError(f"{path}, line {number}: {error}") from error


def read_request(line: bytes | str) -> BatchRequest:
    """Read one line.

    :param line: its JSON text.
    :raises InvalidRequestError: it is no request.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"this is no JSON: {error}") from error
    match value:
        case {"custom_id": str(custom_id), "body": dict(body)} if custom_id:
            method, url = value.get("method", "POST"), value.get("url", URL)
        case _:
            raise InvalidRequestError(
                "a request is an object with 'custom_id', a text, and 'body', an object"
            )
    if (method, url) != ("POST", URL):
        raise InvalidRequestError(f"only POST {URL} is answered, not {method} {url}")
    if body.get("stream"):
        raise InvalidRequestError("a batch does not stream; leave 'stream' out")
    return BatchRequest(custom_id, body)


def check_body(request: BatchRequest, model: str | None) -> str:
    """Return the model that a request names, its options checked.

    :param model: what stands in for the model that it names, or None.
    :raises InvalidRequestError: the body is wrong, or asks for what andon has no option for.
    """
    return read_call(body_for(request, model)).model


def body_for(request: BatchRequest, model: str | None) -> Mapping[str, Any]:
    """Return a request's body with another model in the place of its own.

    :param model: that model, or None.
    """
    return request.body if model is None else {**request.body, "model": model}


def answered(request: BatchRequest, response: ChatResponse, *, created: int) -> BatchAnswer:
    """Return the line of an answer.

    :param created: seconds since 1970.
    """
    body = completion(response, created=created)
    reply = {"status_code": 200, "request_id": response.request_id or "", "body": body}
    line = _line(request, reply, None)
    return BatchAnswer(request.custom_id, line, cost_usd=response.cost_usd)


def failed(request: BatchRequest, error: AndonError) -> BatchAnswer:
    """Return the line of a request that nobody answered.

    :param error: why.
    """
    status, _, body = error_reply(error)
    provider = error.request_id if isinstance(error, BackendError) else None
    reply = {"status_code": status, "request_id": provider or "", "body": body}
    problem = {"code": body["error"]["code"], "message": body["error"]["message"]}
    spent = sum((attempt.cost_usd for attempt in getattr(error, "attempts", ())), Decimal(0))
    line = _line(request, reply, problem)
    return BatchAnswer(request.custom_id, line, failed=True, cost_usd=spent)


def lost(request: BatchRequest) -> BatchAnswer:
    """Return the line of a request that was under way when what asked it was killed."""
    error = AnswerLost(
        "what asked this was killed while it was under way: its backend may have answered it, and "
        "billed it; --retry-errors, or retry_errors=True, asks again, and may pay again"
    )
    return replace(failed(request, error), lost=True)


def _line(
    request: BatchRequest, response: Mapping[str, Any], error: Mapping[str, Any] | None
) -> str:
    record = {
        "id": f"batch_req_{uuid4().hex}",
        "custom_id": request.custom_id,
        "response": response,
        "error": error,
    }
    return json.dumps(record, ensure_ascii=False)
