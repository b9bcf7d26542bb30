"""Where in a TOML file each key and each value stands.

Python's own reader of TOML tells values and not places. This one tells places and not values, for
text that the reader has accepted; so it need not find mistakes.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TypeAlias

#: The way to a value: names of tables, and numbers of elements of lists.
Way: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]+")
#: Texts, the long ones first; up to two quotes may stand right before the three that end one.
_TEXT = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"{3,5}'
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a file.

    :param line: its line, from 1.
    :param column: its first character's place in that line, from 1.
    :param length: its characters, as far as its first line goes.
    """

    line: int
    column: int
    length: int


@dataclass(slots=True)
class Places:
    """The places of a file's keys and values.

    :param text: the file's text.
    """

    text: str
    _keys: dict[Way, tuple[int, int]] = field(default_factory=dict)
    _values: dict[Way, tuple[int, int]] = field(default_factory=dict)

    def note_key(self, way: Way, start: int, end: int) -> None:
        """Take down where a key stands; its first place counts."""
        self._keys.setdefault(way, (start, end))

    def note_value(self, way: Way, start: int, end: int) -> None:
        """Take down where a value stands."""
        self._values[way] = (start, end)

    def key(self, way: Way) -> Span | None:
        """Return where a key stands, or the nearest one around it."""
        return self._nearest(way, self._keys)

    def value(self, way: Way) -> Span | None:
        """Return where a value stands, or else its key, or what is nearest around it."""
        return self._nearest(way, {**self._keys, **self._values})

    def ways(self) -> set[Way]:
        """Return the way to everything that has a place."""
        return set(self._keys) | set(self._values)

    def slice(self, way: Way) -> str | None:
        """Return a value as it was written, or None for a table that has no braces."""
        found = self._values.get(way)
        return None if found is None else self.text[slice(*found)]

    def span(self, start: int, end: int) -> Span:
        """Return the piece between two offsets."""
        line_end = self.text.find("\n", start)
        end = min(end, len(self.text) if line_end < 0 else line_end)
        before = self.text.rfind("\n", 0, start)
        return Span(self.text.count("\n", 0, start) + 1, start - before, max(end - start, 1))

    def _nearest(self, way: Way, found: dict[Way, tuple[int, int]]) -> Span | None:
        while way:
            if way in found:
                return self.span(*found[way])
            way = way[:-1]
        return None


def find_places(text: str) -> Places:
    """Return where the keys and values of a text stand.

    :param text: TOML without a mistake in it, its lines ended by line feeds.
    """
    places = Places(text)
    _Scanner(places).document()
    return places


class _Scanner:
    """Goes through a text once.

    :param places: takes down what is found.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._text = places.text
        self._at = 0
        #: How many tables each list of tables has so far.
        self._counts: dict[Way, int] = {}

    def document(self) -> None:
        table: Way = ()
        while self._next():
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> str:
        """Skip blanks, lines and comments; return the next character, or nothing at the end."""
        self._skip(_BLANK)
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, "the text is no TOML"
        self._at = match.end()
        return match[0]

    def _header(self) -> Way:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        way = self._key((), last_of_list=brackets == 2)
        self._next()
        self._at += brackets
        return way

    def _key(self, table: Way, *, last_of_list: bool = False) -> Way:
        """Read a key with dots; return the way to what it names."""
        way = table
        while True:
            self._next()
            start = self._at
            way = (*way, self._part())
            self._places.note_key(way, start, self._at)
            more = self._next() == "."
            if not more and last_of_list:
                self._counts[way] = self._counts.get(way, 0) + 1
            if way in self._counts:
                way = (*way, self._counts[way] - 1)
                self._places.note_key(way, start, self._at)
            if not more:
                return way
            self._at += 1

    def _part(self) -> str:
        if self._text[self._at] not in "\"'":
            return self._skip(_BARE_KEY)
        [name] = tomllib.loads(self._skip(_TEXT) + " = 0")
        return name

    def _pair(self, table: Way) -> None:
        way = self._key(table)
        self._next()
        self._at += len("=")
        self._value(way)

    def _value(self, way: Way) -> None:
        first, start = self._next(), self._at
        if first == "[":
            self._list(way)
        elif first == "{":
            self._inline_table(way)
        elif first in "\"'":
            self._skip(_TEXT)
        else:
            self._at = start + len(self._skip(_BARE_VALUE).rstrip())
        self._places.note_value(way, start, self._at)

    def _list(self, way: Way) -> None:
        self._at += len("[")
        number = 0
        while self._next() != "]":
            self._value((*way, number))
            number += 1
            if self._next() == ",":
                self._at += 1
        self._at += len("]")

    def _inline_table(self, way: Way) -> None:
        self._at += len("{")
        while self._next() != "}":
            self._pair(way)
            if self._next() == ",":
                self._at += 1
        self._at += len("}")
