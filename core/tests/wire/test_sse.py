"""Server-sent events: the standard's rules, one by one, and against a slow reader."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.errors import BackendError
from andon.wire.sse import Event, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable


def read(pieces: Iterable[bytes], limit: int = 1000) -> list[Event]:
    decoder = SSEDecoder(limit)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


def slow(stream: bytes) -> list[Event]:
    """The standard, word by word."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    *lines, _ = re.split(rb"\r\n|\r|\n", stream)
    events, data, name, identity, retry = [], [], "", "", None
    for line in [*lines, b""]:
        if line == b"":
            if data:
                text = b"\n".join(data).decode("utf-8", "replace")
                events.append(Event(name, text, identity, retry))
            data, name = [], ""
            continue
        key, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        match key:
            case b"data":
                data.append(value)
            case b"event":
                name = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                identity = value.decode("utf-8", "replace")
            case b"retry" if re.fullmatch(rb"[0-9]{1,15}", value):
                retry = int(value)
    return events


PIECES = [
    b"data", b"data:", b"data: ", b"event: ", b"id: ", b"retry: ", b": ping", b"x", b"7", b"\0",
    b"\r", b"\n", b"\r\n", b"\n\n", b" ", b":", "é\u2028\u0085".encode(), b"\xff", b"\xef\xbb\xbf", b"\x0b\x1c",
]  # fmt: skip
streams = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


@given(streams, st.lists(st.integers(0, 200), max_size=20))
def test_any_cutting_gives_what_the_slow_reader_gives(stream: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert read(pieces) == slow(stream)


@given(st.lists(st.one_of(st.just(b"data: x\n\n"), streams), max_size=8))
def test_events_one_at_a_time(pieces: list[bytes]) -> None:
    assert read(pieces) == slow(b"".join(pieces))


@given(streams)
def test_byte_by_byte(stream: bytes) -> None:
    assert read(stream[i : i + 1] for i in range(len(stream))) == slow(stream)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\r\rdata:  b\r\n\r\n", ["a", " b"]),
        (b": comment\n\ndata: a\ndata: b\n\n", ["a\nb"]),
        (b"data\n\n", [""]),
        (b"data: [DONE]\n", ["[DONE]"]),
        (b"data: half", []),
        ('data: a\u2028b\u0085c\x0b\x1cd\n\n'.encode(), ["a\u2028b\u0085c\x0b\x1cd"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"event: x\n\n", []),
        (b"unknown: 1\ndata: a\n\n", ["a"]),
    ],
)  # fmt: skip
def test_rules(stream: bytes, expected: list[str]) -> None:
    assert [event.data for event in read([stream])] == expected


def test_name_is_of_one_event_and_id_of_all_after_it() -> None:
    events = read([b"event: a\nid: 1\nretry: 20\ndata: x\n\ndata: y\nid: \0\nretry: 1x\n\n"])
    assert events == [Event("a", "x", "1", 20), Event("", "y", "1", 20)]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 1000 + b"\n\n"],
        [b"data: "] + [b"x" * 100] * 10,
        [b"data: " + b"x" * 100 + b"\n"] * 10,
        [b": " + b"x" * 1000 + b"\n"],
        [b"data:" + b"x" * 100 + b"\n"] * 10,
    ],
)
def test_what_is_too_large_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(BackendError, match="1000 bytes"):
        read(pieces)
