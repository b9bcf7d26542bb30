"""The header of a GGUF file, read without any engine: to know a model, and to refuse a damaged one.

Layout, after the GGUF specification of the ggml project: magic, version, number of tensors, number
of keys; then the keys with their values; then name, shape, type and offset of each tensor; then,
aligned, the tensors themselves.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.errors import ModelLoadError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

#: Layouts of the scalar types of values, by their number; 8 and 9 are texts and arrays.
_SCALARS = {
    kind: struct.Struct(f"<{layout}")
    for kind, layout in zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True)
}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"

#: Elements and bytes of a block of each type of tensor, by its number; others are not checked.
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    39: (32, 17),  # MXFP4
}


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What the header of a GGUF file says.

    :param values: the values that were asked for, by key.
    :param needed_bytes: the size that the file must have for its tensors.
    """

    values: dict[str, Any]
    needed_bytes: int


def read_header(path: Path, wanted: Sequence[str] = ()) -> GGUFHeader:
    """Read the header of a GGUF file, and check that the file is whole.

    :param path: the file.
    :param wanted: beginnings of the keys whose values to read; the others are passed over, which
        is quick even where a vocabulary is among them.
    :raises ModelLoadError: the file is missing, empty, of another kind, damaged, or cut off.
    """
    size = _size(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = _Reader(data, path, tuple(wanted)).header()
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from error
    except (struct.error, OverflowError):
        raise ModelLoadError(
            f"{path} is cut off within its header, after {size:,} bytes; copy or download it again"
        ) from None
    if header.needed_bytes > size:
        raise ModelLoadError(
            f"{path} is cut off: it has {size:,} bytes, but its tensors reach to byte "
            f"{header.needed_bytes:,}; copy or download it again"
        )
    return header


def _size(path: Path) -> int:
    if not path.exists():
        raise ModelLoadError(f"there is no file {path}")
    if not path.is_file():
        raise ModelLoadError(f"{path} is no file; give the path of a GGUF file")
    size = path.stat().st_size
    if size == 0:
        raise ModelLoadError(f"{path} is empty; copy or download it again")
    return size


class _Reader:
    """Walks through a header once, front to back."""

    def __init__(self, data: mmap.mmap, path: Path, wanted: tuple[str, ...]) -> None:
        self._data = data
        self._path = path
        self._wanted = tuple(prefix.encode() for prefix in (*wanted, _ALIGNMENT))
        self._at = 0

    def header(self) -> GGUFHeader:
        self._check_kind()
        tensors, keys = self._numbers("<QQ")
        values = dict(pair for _ in range(keys) if (pair := self._pair()) is not None)
        alignment = values.get(_ALIGNMENT, 32)
        if not (isinstance(alignment, int) and alignment > 0):
            raise self._broken(f"an alignment of {alignment}")
        ends = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // alignment) * alignment
        return GGUFHeader(values, start + max(ends, default=0))

    def _check_kind(self) -> None:
        magic = self._data[:4]
        if magic != _MAGIC:
            page = magic.lstrip().startswith((b"<", b"{"))
            raise ModelLoadError(
                f"{self._path} is no GGUF file: it begins with {magic!r} and not {_MAGIC!r}"
                + ("; this may be the page of a download, saved in its stead" if page else "")
            )
        self._at = 4
        (version,) = self._numbers("<I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise ModelLoadError(
                f"{self._path} was written for machines of the other byte order"
                if swapped in _VERSIONS
                else f"{self._path} is of GGUF version {version}; versions 2 and 3 can be read"
            )

    def _pair(self) -> tuple[str, Any] | None:
        """Return the next key and its value, or None where nobody wants it."""
        key = self._string()
        (kind,) = self._numbers("<I")
        if not key.startswith(self._wanted):
            self._skip(kind)
            return None
        return key.decode("utf-8", "replace"), self._value(kind)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string().decode("utf-8", "replace")
        if kind == _ARRAY:
            inner, count = self._numbers("<IQ")
            self._check_inner(inner)
            self._expect(count * (8 if inner == _STRING else _SCALARS[inner].size))
            return [self._value(inner) for _ in range(count)]
        scalar = self._scalar(kind)
        value = scalar.unpack_from(self._data, self._at)[0]
        self._at += scalar.size
        return value

    def _skip(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            inner, count = self._numbers("<IQ")
            self._check_inner(inner)
            if inner == _STRING:
                self._skip_strings(count)
            else:
                self._forward(_SCALARS[inner].size * count)
        else:
            self._forward(self._scalar(kind).size)

    def _skip_strings(self, count: int) -> None:
        # Vocabularies have hundreds of thousands.
        at, data, length = self._at, self._data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(data, at)[0]
        self._at = at
        self._forward(0)

    def _tensor(self) -> int:
        """Return the byte at which the next tensor's data ends, counted from the first's."""
        self._string()
        (dimensions,) = self._numbers("<I")
        if dimensions > 4:
            raise self._broken(f"a tensor of {dimensions} dimensions")
        elements = 1
        for length in self._numbers(f"<{dimensions}Q"):
            elements *= length
        kind, offset = self._numbers("<IQ")
        per_block, size = _BLOCKS.get(kind, (1, 0))
        return offset + elements // per_block * size

    def _string(self) -> bytes:
        (length,) = self._numbers("<Q")
        at = self._at
        self._forward(length)
        return self._data[at : self._at]

    def _numbers(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _scalar(self, kind: int) -> struct.Struct:
        if kind not in _SCALARS:
            raise self._broken(f"a value of unknown type {kind}")
        return _SCALARS[kind]

    def _check_inner(self, kind: int) -> None:
        if kind != _STRING and kind not in _SCALARS:
            raise self._broken(f"an array of type {kind}")

    def _forward(self, size: int) -> None:
        self._expect(size)
        self._at += size

    def _expect(self, size: int) -> None:
        if self._at + size > len(self._data):
            raise struct.error

    def _broken(self, what: str) -> ModelLoadError:
        return ModelLoadError(f"{self._path} is damaged: its header has {what}")
