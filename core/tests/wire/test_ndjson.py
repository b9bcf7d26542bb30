"""Lines of JSON: only a line feed ends one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.errors import BackendError
from andon.wire.ndjson import NDJSONDecoder

PIECES = [b"{}", b"\n", b"\r\n", b"\r", "é\u2028\u0085\x0b".encode(), b"\xff", b"a"]


def read(pieces: list[bytes], limit: int = 1000) -> list[str]:
    decoder = NDJSONDecoder(limit)
    return [line for piece in pieces for line in decoder.feed(piece)] + decoder.finish()


def slow(stream: bytes) -> list[str]:
    lines = [line.removesuffix(b"\r") for line in stream.split(b"\n")]
    return [line.decode("utf-8", "replace") for line in lines if line]


@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    st.lists(st.integers(0, 100), max_size=20),
)
def test_any_cutting_gives_what_the_slow_reader_gives(stream: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert read(pieces) == slow(stream)


@pytest.mark.parametrize("pieces", [[b"x" * 1001 + b"\n"], [b"x" * 100] * 11])
def test_a_giant_line_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(BackendError, match="1000 bytes"):
        read(pieces)
