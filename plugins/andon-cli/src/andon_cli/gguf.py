"""What a GGUF file says of its model's chat template, read from the header without any engine."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from andon.errors import ModelLoadError

#: What a value may be once it is read.
Value = int | float | bool | str | list["Value"]

#: Layouts of the scalar types of values, by their number; 8 and 9 are texts and arrays.
_SCALARS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9


def read_metadata(path: Path) -> dict[str, Value]:
    """Return the keys of a GGUF file that concern its tokenizer.

    :param path: the file.
    :raises ModelLoadError: it cannot be read, or is no GGUF file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(data).keys(path)
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path} cannot be read: {error}") from error
    except struct.error:
        raise ModelLoadError(f"{path} is cut off within its header") from None


class _Header:
    """Reads a header from front to back."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def keys(self, path: Path) -> dict[str, Value]:
        if self._data[:4] != b"GGUF":
            raise ModelLoadError(f"{path} is no GGUF file")
        self._at = 4
        version = self._number("I")
        if version not in (2, 3):
            raise ModelLoadError(f"{path} is of GGUF version {version}; 2 and 3 can be read")
        self._number("Q")
        pairs = [(self._string(), self._value(self._number("I"))) for _ in range(self._number("Q"))]
        return {key: value for key, value in pairs if key.startswith("tokenizer.")}

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._number("I"), self._number("Q")
            if inner in _SCALARS:
                return list(self._unpack(f"<{count}{_SCALARS[inner]}"))
            return [self._value(inner) for _ in range(count)]
        if kind in _SCALARS:
            value: Value = self._unpack(f"<{_SCALARS[kind]}")[0]
            return value
        raise ValueError(f"its header has a value of the unknown type {kind}")

    def _string(self) -> str:
        length = self._number("Q")
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise struct.error
        return self._data[start : self._at].decode("utf-8", "replace")

    def _number(self, layout: str) -> int:
        number: int = self._unpack(f"<{layout}")[0]
        return number

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values
