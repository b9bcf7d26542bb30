"""Content codings: gzip and deflate, undone in pieces of bounded size (RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Protocol

from andon.wire.http_errors import DecodingError

#: Most bytes of one piece: a reply that swells is seen to do so before it fills the memory.
PIECE = 256 * 1024

#: Most codings of one reply, each within the next.
_MOST = 3

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Inflater(Protocol):
    """Undoes one coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what compressed bytes stand for, in pieces.

        :raises DecodingError: they are damaged.
        """
        ...

    def finish(self) -> None:
        """Take note that there is no more.

        :raises DecodingError: the end is missing.
        """
        ...


def inflater(coding: str | None) -> Inflater | None:
    """Return what undoes the codings of a reply, or None where there are none.

    :param coding: the value of its header ``content-encoding``.
    :raises DecodingError: there is one that was not asked for.
    """
    if coding is None:
        return None
    names = [name.strip().lower() for name in coding.split(",")]
    known = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
    wanted = [name for name in names if name not in {"", "identity"}]
    strange = [name for name in wanted if name not in known]
    if strange or len(wanted) > _MOST:
        raise DecodingError(f"content-encoding is {coding[:40]!r}")
    # The one that was applied last is undone first.
    steps: list[Inflater] = [_Zlib(known[name]) for name in reversed(wanted)]
    return reduce(_Chain, steps) if steps else None


def undo(coding: Inflater, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give what the pieces of a compressed body stand for.

    :raises DecodingError: they are damaged.
    """
    for piece in pieces:
        yield from coding.feed(piece)


class _Chain:
    def __init__(self, outer: Inflater, inner: Inflater) -> None:
        self._outer, self._inner = outer, inner

    def feed(self, data: bytes) -> Iterator[bytes]:
        return undo(self._inner, self._outer.feed(data))

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()


class _Zlib:
    """One coding of zlib's. A gzip stream may hold several files after each other."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._begun = False
        self._stream = zlib.decompressobj(bits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun:
            data = self._begin(data)
        piece = b""
        # A full piece may have left something behind in the stream.
        while data or len(piece) == PIECE:
            if self._stream.eof and not self._next(data):
                return
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error as error:
                raise DecodingError(str(error)) from None
            if piece:
                yield piece
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def _begin(self, data: bytes) -> bytes:
        if not data:
            return data
        self._begun = True
        # Some servers call deflate what lacks zlib's two bytes before it: 8 in the lower half of
        # the first, and both together a multiple of 31 (RFC 1950). The first tells enough.
        if self._bits == _ZLIB and data[0] & 0x0F != 8:
            self._stream = zlib.decompressobj(_RAW)
        return data

    def _next(self, data: bytes) -> bool:
        """Begin the next file; what follows the last is padding."""
        if self._bits != _GZIP or not data.strip(b"\0"):
            return False
        self._stream = zlib.decompressobj(_GZIP)
        return True

    def finish(self) -> None:
        if self._begun and not self._stream.eof:
            raise DecodingError("it broke off")
