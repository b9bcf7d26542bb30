"""The JSON schema of ``andon.toml``, made from the records that read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from andon.budget import Budget
from andon.failover import FailoverPolicy
from andon.pricing.rows import LongContextRates, PriceRates, PriceSettings
from andon.routing import BUILTIN
from andon.settings import NetworkSettings, RouteSettings, Settings
from andon.specs import ModelProfile

_RECORDS = (
    Budget, FailoverPolicy, LongContextRates, ModelProfile, NetworkSettings, PriceRates,
    PriceSettings, RouteSettings, Settings,
)  # fmt: skip

#: ``:param name: what it is``, over as many lines as it takes.
_PARAMETER = re.compile(r":param (\w+):(.*?)(?=\n\s*:|\Z)", re.DOTALL)

#: What any backend over HTTP reads of its table; a backend may have more.
_ENDPOINT: Mapping[str, Mapping[str, Any]] = {
    "backend": {
        "type": "string",
        "description": "The backend that this is a further endpoint of.",
    },
    "base_url": {
        "type": "string",
        "description": "The server's address, as far as /v1 where the API has one.",
    },
    "api_key": {
        "type": "string",
        "description": "The key. Better kept in the backend's own variable, or in a keyring: "
        "andon keys.",
    },
    "headers": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Further headers, for every request.",
    },
    "ca_file": {"type": "string", "description": "Certificates to trust instead of the system's."},
    "proxy": {"type": "string", "description": "A proxy's URL; it takes andon[http]."},
    "http2": {
        "type": "boolean",
        "description": "Whether HTTP/2 is spoken where the server can; it takes andon[http2].",
    },
    "connect_timeout": {"type": "number", "description": "Seconds for a connection."},
    "first_token_timeout": {
        "type": "number",
        "description": "Seconds for the first byte of an answer.",
    },
    "stall_timeout": {
        "type": "number",
        "description": "Seconds between two pieces of an answer.",
    },
    "max_retries": {
        "type": "integer",
        "minimum": 0,
        "description": "Most attempts after the first, before the first piece of an answer.",
    },
    "max_retry_wait": {
        "type": "number",
        "minimum": 0,
        "description": "Most seconds between two attempts where the server names none.",
    },
}


@lru_cache(maxsize=1)
def settings_schema() -> dict[str, Any]:
    """Return the schema."""
    from pydantic import TypeAdapter

    schema: dict[str, Any] = _tidy(TypeAdapter(Settings).json_schema())
    records = {record.__name__: record for record in _RECORDS}
    for name, table in (("Settings", schema), *schema["$defs"].items()):
        _describe(table, records.get(name))
    properties = schema["properties"]
    row, rows = {"$ref": "#/$defs/PriceSettings"}, properties["prices"]["additionalProperties"]
    properties["prices"]["additionalProperties"] = {"anyOf": [row, rows]}
    properties["endpoints"]["additionalProperties"] = {"type": "object", "properties": _ENDPOINT}
    properties["routing"]["properties"] = {
        "strategy": {
            "description": "The name of the strategy: andon's own, or a plugin's.",
            "anyOf": [{"enum": sorted(BUILTIN)}, {"type": "string"}],
        }
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "andon.toml",
        "description": "What holds for every request of andon.",
        **{key: value for key, value in schema.items() if key not in {"title", "description"}},
    }


def known_names(way: tuple[str | int, ...]) -> list[str]:
    """Return the names that the table at the end of a way may have.

    :param way: the way to the table; nothing is known of one that takes any name.
    """
    schema = settings_schema()
    tables: list[Mapping[str, Any]] = [schema]
    for part in way:
        tables = [inner for table in tables for inner in _inner(schema, table, part)]
    names = {name for table in tables for name in table.get("properties", {})}
    return sorted(names)


def _inner(
    schema: Mapping[str, Any], table: Mapping[str, Any], part: str | int
) -> Iterator[Mapping[str, Any]]:
    """Give what a schema says of one entry of a table or list."""
    if isinstance(part, int):
        found = table.get("items")
    else:
        found = table.get("properties", {}).get(part, table.get("additionalProperties"))
    if isinstance(found, Mapping):
        yield from _alternatives(schema, found)


def _alternatives(
    schema: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    if "$ref" in found:
        found = schema["$defs"][found["$ref"].rpartition("/")[2]]
    yield found
    for alternative in found.get("anyOf", ()):
        yield from _alternatives(schema, alternative)


def _tidy(node: Any) -> Any:
    """Return a schema without what TOML cannot say, and without titles that repeat names."""
    if isinstance(node, list):
        return [_tidy(item) for item in node if item != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _tidy(value)
        for key, value in node.items()
        if value is not None and not (key == "title" and isinstance(value, str))
    }
    match kept:
        case {"anyOf": [dict(only)]}:
            del kept["anyOf"]
            return {**only, **kept}
    return kept


def _describe(table: dict[str, Any], record: type | None) -> None:
    """Say of each entry of a table what its record's docstring says of it."""
    if "description" in table:
        table["description"] = _plain(table["description"].partition("\n\n")[0])
    if record is None:
        return
    said = dict(_parameters(record))
    for name, entry in table.get("properties", {}).items():
        if name in said:
            entry["description"] = said[name]


def _parameters(record: type) -> Iterator[tuple[str, str]]:
    # The nearest docstring comes last, and counts.
    for ancestor in reversed(record.__mro__):
        for name, text in _PARAMETER.findall(vars(ancestor).get("__doc__") or ""):
            yield name, _plain(text)


def _plain(text: str) -> str:
    words = " ".join(text.replace("``", "`").split())
    words = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", words)
    words = words.replace("where None", "where it is left out")
    return words[:1].upper() + words[1:]
