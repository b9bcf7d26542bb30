"""Which settings are in force, and where each comes from. What may be a secret is not shown."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from andon.budget.sqlite import default_url
from andon.plugins import DISABLE_VARIABLE
from andon.settings import FILE_NAME, VARIABLES, Settings, user_file_of
from andon_cli.app import App
from andon_cli.config.findings import dotted
from andon_cli.config.places import Places, Way, find_places

DEFAULT = "default"
HIDDEN = "***"

#: Texts in a backend's table that are no secrets. Any other may be one.
_OPEN = frozenset(
    "api api_version backend base_url bill_to ca_file chat_template credentials_file input_style "
    "location max_tokens_field organization profile project proxy region".split()
)
_SECRET = re.compile(r"key|token|secret|passw|credential|header", re.IGNORECASE)
_SIGNED = re.compile(r"(?<=://)[^/@\s]*@|(?<=[?&])[^=&\s]*(?:key|token|secret|passw)[^&\s]*", re.I)


@dataclass(frozen=True, slots=True)
class Row:
    """A setting that is in force.

    :param setting: its name.
    :param value: its value, for people.
    :param source: where it comes from: a file and its line, a variable, or the default.
    """

    setting: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one source says.

    :param source: its name.
    :param values: its settings.
    :param places: where they stand in it, for a file.
    """

    source: str
    values: Mapping[str, Any]
    places: Places | None = None

    def place(self, way: Way) -> str:
        span = None if self.places is None else self.places.key(way)
        return self.source if span is None else f"{self.source}:{span.line}"


def settings_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that settings are read from, the nearest last, whether they exist or not.

    :param environment: environment variables.
    """
    return user_file_of(environment), Path(FILE_NAME)


def effective(app: App) -> list[Row]:
    """Return every setting.

    :param app: reads the settings.
    :raises SettingsError: a setting is wrong.
    """
    settings = app.settings()
    layers = list(_layers(os.environ)) if app.discover else []
    rows = [row for field in fields(Settings) for row in _rows(settings, layers, field.name)]
    if left_out := os.environ.get(DISABLE_VARIABLE) if app.discover else None:
        rows.append(Row("disable_plugins", left_out, DISABLE_VARIABLE))
    return rows


def _layers(environment: Mapping[str, str]) -> Iterator[_Layer]:
    """Give the sources, the nearest first."""
    for variable, name in VARIABLES.items():
        if environment.get(variable):
            yield _Layer(variable, {name: environment[variable]})
    for file in reversed(settings_files(environment)):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            yield _Layer(str(file), tomllib.loads(text), find_places(text))


def _rows(settings: Settings, layers: list[_Layer], name: str) -> Iterator[Row]:
    value = getattr(settings, name)
    if name == "ledger" and value is None:
        # In memory, every command would begin a budget anew.
        yield Row(name, default_url(os.environ), f"{DEFAULT} of the command line")
        return
    if isinstance(value, dict):
        for entry in value:
            layer = next(layer for layer in layers if entry in layer.values.get(name, {}))
            yield from _leaves((name, entry), layer.values[name][entry], layer)
        return
    layer = next((layer for layer in layers if name in layer.values), _Layer(DEFAULT, {}))
    if is_dataclass(value) and not isinstance(value, type):
        given = layer.values.get(name, {})
        for inner, part in asdict(value).items():
            way = (name, inner)
            source = layer.place(way) if inner in given else DEFAULT
            yield Row(dotted(way), _shown(way, part), source)
    else:
        yield Row(name, _shown((name,), value), layer.place((name,)))


def _leaves(way: Way, value: Any, layer: _Layer) -> Iterator[Row]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves((*way, name), inner, layer)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from _leaves((*way, number), item, layer)
    else:
        yield Row(dotted(way), _shown(way, value), layer.place(way))


def _shown(way: Way, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(_shown(way, item) for item in value) or "–"
    if isinstance(value, str) and _is_hidden(way):
        return HIDDEN
    return _SIGNED.sub(lambda match: f"{HIDDEN}@" if match[0].endswith("@") else HIDDEN, str(value))


def _is_hidden(way: Way) -> bool:
    if way[0] == "endpoints":
        # A plugin may call its secrets anything, so only what is known is shown.
        return len(way) != 3 or way[-1] not in _OPEN
    return way[0] == "routing" and any(_SECRET.search(str(part)) for part in way[1:])
