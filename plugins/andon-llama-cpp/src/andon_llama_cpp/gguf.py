"""The header of a GGUF file, read to say what is wrong with it before llama.cpp does worse.

Layout: magic, version, number of tensors, number of keys; then the keys with their values; then
name, shape, type and offset of each tensor; then, aligned, the tensors themselves.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from andon.errors import ModelLoadError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

#: Sizes of the scalar types of values, by their number.
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9

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


def check_gguf(path: Path) -> None:
    """Check that a file is a whole GGUF file.

    :raises ModelLoadError: it is missing, empty, of another kind, or cut off.
    """
    if not path.exists():
        raise ModelLoadError(f"there is no file {path}")
    if not path.is_file():
        raise ModelLoadError(f"{path} is no file; give the path of a GGUF file")
    size = path.stat().st_size
    if size == 0:
        raise ModelLoadError(f"{path} is empty; copy or download it again")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            needed = _Header(data, path).needed
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from error
    except (struct.error, OverflowError):
        raise ModelLoadError(
            f"{path} is cut off within its header, after {size:,} bytes; copy or download it again"
        ) from None
    if needed > size:
        raise ModelLoadError(
            f"{path} is cut off: it has {size:,} bytes, but its tensors reach to byte "
            f"{needed:,}; copy or download it again"
        )


class _Header:
    """Walks through a header once.

    :param data: the file's bytes.
    :param path: the file, for errors.
    """

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = 0
        self._alignment = 32
        self._check_kind()
        tensors, keys = self._read("<QQ")
        for _ in range(keys):
            self._key()
        ends = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // self._alignment) * self._alignment
        #: The size that the file must have.
        self.needed = start + max(ends, default=0)

    def _check_kind(self) -> None:
        magic = self._data[:4]
        if magic != _MAGIC:
            raise ModelLoadError(
                f"{self._path} is no GGUF file: it begins with {magic!r} and not {_MAGIC!r}"
                + ("; this may be the page of a download, saved in its stead" * _is_text(magic))
            )
        self._at = 4
        (version,) = self._read("<I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise ModelLoadError(
                f"{self._path} was written for machines of the other byte order"
                if swapped in _VERSIONS
                else f"{self._path} is of GGUF version {version}; llama.cpp reads 2 and 3"
            )

    def _key(self) -> None:
        name = self._string()
        (kind,) = self._read("<I")
        if name == b"general.alignment" and kind == _UINT32:
            (self._alignment,) = self._read("<I")
            if self._alignment == 0:
                raise self._broken("an alignment of 0")
        else:
            self._skip(kind)

    def _skip(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            inner, count = self._read("<IQ")
            if inner == _STRING:
                self._strings(count)
            elif inner in _SCALARS:
                self._forward(_SCALARS[inner] * count)
            else:
                raise self._broken(f"an array of type {inner}")
        elif kind in _SCALARS:
            self._forward(_SCALARS[kind])
        else:
            raise self._broken(f"a value of unknown type {kind}")

    def _tensor(self) -> int:
        self._string()
        (dimensions,) = self._read("<I")
        if dimensions > 4:
            raise self._broken(f"a tensor of {dimensions} dimensions")
        elements = 1
        for length in self._read(f"<{dimensions}Q"):
            elements *= length
        kind, offset = self._read("<IQ")
        per_block, size = _BLOCKS.get(kind, (1, 0))
        return int(offset) + elements // per_block * size

    def _string(self) -> bytes:
        (length,) = self._read("<Q")
        at = self._at
        self._forward(length)
        return self._data[at : self._at]

    def _strings(self, count: int) -> None:
        # Vocabularies have hundreds of thousands.
        at, data, length = self._at, self._data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(data, at)[0]
        self._at = at
        self._forward(0)

    def _read(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _forward(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise struct.error

    def _broken(self, what: str) -> ModelLoadError:
        return ModelLoadError(f"{self._path} is damaged: its header has {what}")


def _is_text(magic: bytes) -> bool:
    return magic.lstrip().startswith((b"<", b"{"))
