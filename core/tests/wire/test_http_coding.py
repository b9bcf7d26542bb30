"""Compressed bodies, undone in pieces, and the bombs among them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.wire.http_coding import PIECE, inflater
from andon.wire.http_errors import DecodingError


def raw(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def undo(coding: str, data: bytes, size: int = 10**9) -> bytes:
    found = inflater(coding)
    assert found is not None
    pieces = [
        piece
        for at in range(0, max(len(data), 1), size)
        for piece in found.feed(data[at : at + size])
    ]
    found.finish()
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    " Deflate": raw,
    "identity, gzip": gzip.compress,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=200), size=st.integers(1, 50))
def test_every_coding_however_it_is_cut(coding: str, data: bytes, size: int) -> None:
    assert undo(coding, CODINGS[coding](data), size) == data


@pytest.mark.parametrize("coding", [None, "identity", ""])
def test_no_coding(coding: str | None) -> None:
    assert inflater(coding) is None


@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_several_files_and_padding(size: int) -> None:
    data = gzip.compress(b"a" * 1000) + gzip.compress(b"") + gzip.compress(b"b") + b"\0" * 50
    assert undo("gzip", data, size) == b"a" * 1000 + b"b"


def test_an_empty_body() -> None:
    assert undo("gzip", b"") == b""


@pytest.mark.parametrize("length", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_nothing_is_left_behind_a_full_piece(length: int) -> None:
    for coding in ("gzip", "deflate"):
        assert undo(coding, CODINGS[coding](b"x" * length)) == b"x" * length


def test_a_bomb_goes_off_in_pieces() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    found = inflater("gzip")
    assert found is not None
    pieces = found.feed(bomb)
    # Whoever stops reading has not unpacked the rest.
    assert [len(next(pieces)) for _ in range(3)] == [PIECE] * 3


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_damage(coding: str) -> None:
    data = CODINGS[coding](b"hello" * 100)
    for broken in (b"no such thing", data[:-9] + b"\xff" * 9, data[:4] + b"\xff" * 40):
        with pytest.raises(DecodingError):
            undo(coding, broken)
    with pytest.raises(DecodingError, match="broke off"):
        undo(coding, data[:-3])


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "nonsense", "gzip" + ", gzip" * 5])
def test_what_was_not_asked_for(coding: str) -> None:
    with pytest.raises(DecodingError, match="content-encoding"):
        inflater(coding)
