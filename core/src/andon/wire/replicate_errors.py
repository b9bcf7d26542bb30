"""What Replicate says when it or one of its models fails, read into andon's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from andon.errors import BackendError
from andon.wire import openai_errors
from andon.wire.dialect import HTTPReply
from andon.wire.json_values import read_json
from andon.wire.problems import Problem, to_error

#: The codes of models that say more than "it failed", by what ours would call them. (Messages of
#: Replicate's models as users report them, 2026-09; its documented codes from E1000 on say that
#: the server failed.)
_KINDS = {"E003": "unavailable", "E004": "unavailable", "E005": "content_filter"}


def explain(reply: HTTPReply) -> BackendError:
    """Return the error that a reply stands for: a problem in the form of RFC 7807.

    :param reply: a reply with an error's status.
    """
    try:
        value = read_json(reply.body)
    except ValueError:
        value = None
    if not (isinstance(value, Mapping) and isinstance(value.get("detail"), str)):
        # A gateway in between: those speak in many forms.
        return openai_errors.explain(reply)
    title, detail = value.get("title"), value["detail"]
    message = f"{title}: {detail}" if isinstance(title, str) and title else detail
    problem = Problem(
        message + _invalid_fields(value.get("invalid_fields")),
        retry_after=_retry_after(value.get("retry_after"), detail),
    )
    return to_error(problem, reply.status, reply.headers)


def explain_failure(error: Any, headers: Mapping[str, str], identifier: str | None) -> BackendError:
    """Return the error for a prediction that failed.

    :param error: what the prediction, or its stream, says of that: a text, or a problem.
    :param headers: the headers that it came with.
    :param identifier: the prediction's id.
    """
    if isinstance(error, Mapping):
        error = error.get("detail") or error.get("message") or error.get("error")
    message = error if isinstance(error, str) else ""
    code = re.search(r"\bE\d{3,4}\b", message)
    found = code[0] if code else None
    invalid = message.startswith("Input validation error")
    problem = Problem(
        f"the prediction failed: {message or 'it gives no reason'}",
        code=found,
        kind="invalid" if invalid else _KINDS.get(found or "", ""),
        request_id=identifier,
    )
    return to_error(problem, None, headers)


def _invalid_fields(fields: Any) -> str:
    if not isinstance(fields, list):
        return ""
    said = [field.get("description") for field in fields if isinstance(field, Mapping)]
    return "".join(f"; {text}" for text in said if isinstance(text, str))


def _retry_after(stated: Any, detail: str) -> float | None:
    if isinstance(stated, int | float) and not isinstance(stated, bool) and 0 <= stated < 1e9:
        return float(stated)
    # "Your rate limit resets in ~30s."
    found = re.search(r"resets in ~?(\d{1,6})(ms|s|m)\b", detail)
    if found is None:
        return None
    return int(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[2]]
