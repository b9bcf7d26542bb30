"""What servers of OpenAI's protocol say when they fail, read into andon's errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from andon.errors import BackendError
from andon.wire.dialect import HTTPReply
from andon.wire.json_values import read_json
from andon.wire.problems import Problem, Refine, as_told, page_text, to_error


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for.

    :param reply: a reply with an error's status, or one whose body is an error.
    """
    problem = _read(reply.body)
    status = reply.status
    if status < 400 and problem.status is not None:
        status = problem.status
    return to_error(problem, status, reply.headers)


def explain_event(value: Any, headers: Mapping[str, str]) -> BackendError:
    """Return the error that arrived inside a stream.

    :param value: the event's JSON value, or its text.
    :param headers: the headers that the stream came with.
    """
    problem = _find(value)
    return to_error(problem, problem.status, headers)


def explain_by(
    read: Callable[[Any], Problem | None], reply: HTTPReply, refine: Refine = as_told
) -> BackendError:
    """Return the error that a reply of another protocol stands for.

    :param read: returns what the protocol's errors say, or None for what is none: a gateway in
        between may have answered, and those speak in many forms.
    :param reply: a reply with an error's status, or one whose body is an error.
    :param refine: see :func:`andon.wire.problems.to_error`.
    """
    try:
        problem = read(read_json(reply.body))
    except ValueError:
        problem = None
    if problem is None:
        return explain(reply)
    status = reply.status if reply.status >= 400 else problem.status
    return to_error(problem, status, reply.headers, refine)


def explain_event_by(
    read: Callable[[Any], Problem | None],
    value: Any,
    headers: Mapping[str, str],
    refine: Refine = as_told,
) -> BackendError:
    """Return the error of another protocol that arrived inside a stream; see :func:`explain_by`.

    :param read: returns what the protocol's errors say, or None for what is none.
    :param value: the event's JSON value, or its text.
    :param headers: the headers that the stream came with.
    :param refine: see :func:`andon.wire.problems.to_error`.
    """
    problem = read(value)
    if problem is None:
        return explain_event(value, headers)
    return to_error(problem, problem.status, headers, refine)


def _read(body: bytes) -> Problem:
    text = body.decode("utf-8", "replace").strip()
    try:
        return _find(json.loads(text))
    except (ValueError, RecursionError):
        return Problem(page_text(text))


def _find(value: Any) -> Problem:
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        return Problem(value if isinstance(value, str) else json.dumps(value))
    inner = value.get("error")
    if isinstance(inner, Mapping):
        return _from_fields(inner)
    if isinstance(inner, str) and inner:
        # Either the message itself, or a code with its message beside it.
        beside = value.get("message")
        kind = str(value.get("error_type") or value.get("type") or "")
        return Problem(beside, inner) if isinstance(beside, str) else Problem(inner, kind=kind)
    if value.get("detail"):
        return Problem(_from_detail(value["detail"]))
    return _from_fields(value)


def _from_fields(fields: Mapping[str, Any]) -> Problem:
    code, kind, message = fields.get("code"), fields.get("type"), fields.get("message")
    number = _status(code) or _status(fields.get("status"))
    # llama.cpp and vLLM give the status as the code; their type is the better name.
    named = code if isinstance(code, str) and code and not code.isdigit() else kind
    return Problem(
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
