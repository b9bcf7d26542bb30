"""JSON as every protocol here reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from andon.errors import InvalidRequestError

#: What reading JSON of another shape than expected can raise.
SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, OverflowError)


def read_json(data: bytes | str) -> Any:
    """Return the JSON value.

    :raises ValueError: it is none, or nothing that can be held.
    """
    try:
        return json.loads(data if isinstance(data, str) else data.decode())
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def name_of(value: Any) -> str | None:
    """Return a name, or None where there is none."""
    return text_of(value) or None


def text_of(value: Any) -> str:
    """Return a text; nothing is an empty one."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError("not a text")


def token_count(body: Mapping[str, Any], name: str) -> int:
    """Return the number of tokens that were counted.

    :param body: the answer.
    :param name: where it stands.
    :raises ValueError: there is none.
    """
    count = body[name]
    if type(count) is not int or count < 0:
        raise ValueError(f"{name} is no number of tokens")
    return count


def object_of(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, or None where it is none."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def to_json(body: Mapping[str, Any]) -> bytes:
    """Return the body as compact UTF-8.

    :raises InvalidRequestError: something in it cannot be written as JSON.
    """
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from error


def _plain(value: object) -> Any:
    # Frozen records may hold mappings and sequences that json does not know.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
)
