"""The AWS event stream: what is read from it, however it is cut, and what becomes of damage."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from struct import pack
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.errors import BackendError, StreamInterrupted
from andon.wire.event_stream import MAX_HEADERS, EventStreamDecoder, Frame

_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}

#: A header's type and value.
Value = tuple[int, Any]


def header(name: str, kind: int, value: Any) -> bytes:
    """Return a header, written after the protocol's description."""
    key = name.encode()
    if kind in _FIXED:
        data = pack(_FIXED[kind], value)
    elif kind in (6, 7):
        raw = value.encode() if kind == 7 else value
        data = pack(">H", len(raw)) + raw
    else:
        data = value if kind == 9 else b""
    return bytes([len(key)]) + key + bytes([kind]) + data


def frame(headers: Mapping[str, Value], payload: bytes = b"") -> bytes:
    written = b"".join(header(name, *value) for name, value in headers.items())
    return raw_frame(written, payload)


def raw_frame(headers: bytes, payload: bytes = b"", length: int | None = None) -> bytes:
    whole = 16 + len(headers) + len(payload) if length is None else length
    prelude = pack(">II", whole, len(headers))
    data = prelude + pack(">I", crc32(prelude)) + headers + payload
    return data + pack(">I", crc32(data))


def read(*pieces: bytes, limit: int = 10_000) -> list[Frame]:
    decoder = EventStreamDecoder(limit)
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    decoder.finish()
    return frames


def read_into(seen: list[Frame], stream: bytes) -> None:
    decoder = EventStreamDecoder()
    seen.extend(decoder.feed(stream))
    decoder.finish()


names = st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)
values: st.SearchStrategy[Value] = st.one_of(
    st.tuples(st.just(0), st.just(True)),
    st.tuples(st.just(1), st.just(False)),
    st.tuples(st.just(2), st.integers(-(2**7), 2**7 - 1)),
    st.tuples(st.just(3), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(4), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from([5, 8]), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(6), st.binary(max_size=50)),
    st.tuples(st.just(7), st.text(max_size=50)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
frames = st.tuples(st.dictionaries(names, values, max_size=5), st.binary(max_size=100))


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 2_000), max_size=20))
def test_any_cutting_gives_what_was_written(
    written: list[tuple[dict[str, Value], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(*each) for each in written)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    expected = [
        ({name: value for name, (_, value) in headers.items()}, payload)
        for headers, payload in written
    ]
    assert read(*(stream[a:b] for a, b in pairwise(places))) == expected
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_a_changed_byte_never_becomes_a_frame(
    written: list[tuple[dict[str, Value], bytes]], data: st.DataObject
) -> None:
    pieces = [frame(*each) for each in written]
    stream = bytearray(b"".join(pieces))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= data.draw(st.integers(1, 255))
    whole = read(*pieces)
    seen: list[Frame] = []
    with pytest.raises(BackendError):
        read_into(seen, bytes(stream))
    # What came before the damage is told, and nothing else.
    assert seen == whole[: len(seen)]
    assert len(seen) < len(whole)


@given(st.binary(max_size=200))
def test_junk_is_our_error_or_nothing(junk: bytes) -> None:
    decoder = EventStreamDecoder(1_000)
    try:
        assert list(decoder.feed(junk)) == []
        decoder.finish()
    except BackendError:
        return
    assert junk == b""


@given(st.binary(max_size=60))
def test_junk_among_headers_is_our_error(junk: bytes) -> None:
    decoder = EventStreamDecoder()
    try:
        [found] = decoder.feed(raw_frame(junk))
    except BackendError:
        return
    assert all(isinstance(value, bool | int | bytes | str) for value in found.headers.values())


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05abc",  # the name ends too early
        b"\x03abc",  # there is no type
        b"\x03abc\x0a",  # nor is there one with this number
        b"\x03abc\x07\x00",  # half a length
        b"\x03abc\x07\x00\x05ab",  # half a value
        b"\x03abc\x04\x00\x00",  # half a number
        b"\x03abc\x07\x00\x01\xff",  # no UTF-8
        b"\x01\xff\x00",
        b"\x01a\x00\x01a\x00",  # one name twice
    ],
)
def test_headers_that_cannot_be_read(headers: bytes) -> None:
    with pytest.raises(BackendError, match="header of an AWS event stream"):
        read(raw_frame(headers))


def test_a_frame_that_is_too_large_is_refused_before_it_is_read() -> None:
    assert read(frame({}, b"x" * 50), limit=50)
    for large in (raw_frame(b"", b"", 16 + 51), raw_frame(b"x" * (MAX_HEADERS + 1))):
        decoder = EventStreamDecoder(50)
        with pytest.raises(BackendError, match="more than the 50"):
            list(decoder.feed(large[:12]))


def test_lengths_that_contradict_each_other() -> None:
    with pytest.raises(BackendError, match="contradict"):
        read(raw_frame(b"\x01a\x00", b"", 16))


def test_a_stream_that_ends_amid_a_frame_is_interrupted() -> None:
    whole = frame({"a": (7, "b")}, b"{}")
    for end in (1, 11, 12, len(whole) - 1):
        with pytest.raises(StreamInterrupted, match="amid a frame"):
            read(whole, whole[:end])


def test_an_answer_of_another_kind_says_what_came() -> None:
    with pytest.raises(BackendError, match=r"AWS event stream.*data: \{.*check that the base URL"):
        read(b'data: {"choices": []}\n\n')
