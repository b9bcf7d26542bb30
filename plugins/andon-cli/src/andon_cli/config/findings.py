"""What is wrong with settings, and where: said all at once, and with what was probably meant."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from andon.errors import ConfigurationError
from andon_cli.app import App
from andon_cli.config.places import Places, Span, Way, find_places
from andon_cli.config.schema import known_names

#: How readers of tables say that a name is wrong, and not a value.
_UNKNOWN = re.compile(r"\bno (?:such )?(?:setting|option)\b")


class Severity(StrEnum):
    """How bad it is."""

    #: andon does not start with it.
    ERROR = "error"
    #: A request may fail because of it.
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    :param source: the file, or the environment variable.
    :param message: what is wrong and what to do.
    :param way: the way to the setting.
    :param span: where it stands, in a file.
    :param severity: how bad it is.
    """

    source: str
    message: str
    way: Way = ()
    span: Span | None = None
    severity: Severity = Severity.ERROR

    @property
    def setting(self) -> str:
        """The setting's name."""
        return dotted(self.way)


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding that does not know its place yet.

    :param way: the way to the setting.
    :param message: what is wrong and what to do.
    :param at_key: whether the name is wrong, and not the value.
    :param severity: how bad it is.
    """

    way: Way
    message: str
    at_key: bool = False
    severity: Severity = Severity.ERROR


def check_file(app: App, file: Path) -> list[Finding]:
    """Return what is wrong with a file, in the order of its lines.

    :param app: knows what is installed.
    :param file: the file.
    """
    try:
        # As andon itself reads it: with line feeds at the ends of lines.
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(file), f"the file cannot be read: {error}")]
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [_syntax(file, text, error)]
    places = find_places(text)
    problems = find_problems(app, values, file.parent)
    found = [_placed(problem, str(file), places) for problem in problems]
    return sorted(found, key=lambda finding: _order(finding.span))


def check_variables(environment: Mapping[str, str]) -> list[Finding]:
    """Return what is wrong with the environment variables that give settings.

    :param environment: the variables.
    """
    from andon.settings import VARIABLES, Settings, override

    found = []
    for variable, name in VARIABLES.items():
        try:
            override(Settings(), **{name: environment.get(variable) or None})
        except ConfigurationError as error:
            message = str(error).removeprefix("argument: ").removeprefix(f"{name}: ")
            found.append(Finding(variable, message, (name,)))
    return found


def find_problems(app: App, values: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """Give what is wrong with a file's values; each entry is looked at by itself.

    :param app: knows what is installed.
    :param values: the values.
    :param folder: where the file lies.
    """
    from andon_cli.config.meaning import check_meaning

    sound: dict[str, Any] = {}
    for way, piece in _pieces(values):
        problems = list(_check_piece(way, piece))
        yield from problems
        if not problems:
            [(name, value)] = piece.items()
            merge = len(way) > 1 and name in sound
            sound[name] = {**sound[name], **value} if merge else value
    yield from check_meaning(app, sound, folder)


def blame(values: Any, way: Way, error: Exception) -> Problem:
    """Return a problem with an error's words, at the setting that these words name.

    Plugins and strategies read their own tables, and their errors know names and no places.

    :param values: the table that was read.
    :param way: the way to it.
    :param error: what its reader said.
    """
    message = str(error)
    named = [found for found in _words(values, way) if _names(message, found[0])]
    # What is quoted is meant; other names may only say what there is besides.
    place = max(
        named,
        key=lambda found: (repr(found[0]) in message, len(found[1]), len(found[0])),
        default=("", way),
    )[1]
    return Problem(place, message, at_key=_UNKNOWN.search(message) is not None)


def _words(values: Any, way: Way) -> Iterator[tuple[str, Way]]:
    """Give the names and the texts in a table, each with the way to it."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield name, (*way, name)
            yield from _words(value, (*way, name))
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            yield from _words(value, (*way, number))
    elif isinstance(values, str):
        yield values, way


def _names(message: str, word: str) -> bool:
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message) is not None


def suggestion(name: str, known: list[str]) -> str:
    """Return what was probably meant, as the end of a sentence; or what there is.

    :param name: what was written.
    :param known: what could have been.
    """
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if known else ""


def dotted(way: Way) -> str:
    """Return a way as TOML writes it.

    :param way: the way.
    """
    text = ""
    for part in way:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text


def _pieces(values: Mapping[str, Any]) -> Iterator[tuple[Way, dict[str, Any]]]:
    """Give the settings one by one, and the entries of tables that are joined by entry."""
    from andon.settings import Settings

    whole = Settings()
    for name, value in values.items():
        if isinstance(getattr(whole, name, None), dict) and isinstance(value, Mapping):
            if not value:
                yield (name,), {name: {}}
            for entry, inner in value.items():
                yield (name, entry), {name: {entry: inner}}
        else:
            yield (name,), {name: value}


def _check_piece(way: Way, piece: dict[str, Any]) -> Iterator[Problem]:
    from pydantic import TypeAdapter, ValidationError

    from andon.pricing.rows import listed
    from andon.settings import Settings

    given = {**piece, "prices": listed(piece["prices"])} if "prices" in piece else piece
    try:
        TypeAdapter(Settings).validate_python(given)
    except ValidationError as error:
        for details in error.errors():
            yield _described(piece, dict(details))
    except ConfigurationError as error:
        yield blame(_at(piece, way), way, error)


def _described(piece: Mapping[str, Any], details: Mapping[str, Any]) -> Problem:
    way: Way = _way_in(piece, details["loc"])
    name = str(way[-1]) if way else ""
    match details["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            advice = suggestion(name, known_names(way[:-1]))
            return Problem(way, f"there is no setting {dotted(way)}{advice}", at_key=True)
        case "missing" | "missing_argument":
            return Problem(way[:-1], f"{name} is missing", at_key=True)
    said = str(details["msg"]).replace("Input should", "it should")
    return Problem(way, f"{said}, not {_shown(details['input'])}")


def _way_in(values: Any, location: tuple[str | int, ...]) -> Way:
    """Return a location without the number of a model's only row of prices."""
    way: list[str | int] = []
    for part in location:
        if isinstance(part, int) and not isinstance(values, list):
            continue
        way.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
    return tuple(way)


def _at(values: Any, way: Way) -> Any:
    for part in way:
        values = values[part]
    return values


def _shown(value: object) -> str:
    # What stands in a wrong place may be a key.
    return repr(value) if isinstance(value, bool | int | float) else f"{value!r:.40}"


def _placed(problem: Problem, source: str, places: Places) -> Finding:
    span = places.key(problem.way) if problem.at_key else places.value(problem.way)
    return Finding(source, problem.message, problem.way, span, problem.severity)


def _order(span: Span | None) -> tuple[int, int]:
    return (0, 0) if span is None else (span.line, span.column)


def _syntax(file: Path, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    message, _, place = str(error).rpartition(" (at ")
    match = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    if match is None:
        lines = text.splitlines() or [""]
        return Finding(str(file), message, (), Span(len(lines), len(lines[-1]) + 1, 1))
    return Finding(str(file), message, (), Span(int(match[1]), int(match[2]), 1))
