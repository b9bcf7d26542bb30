"""Our reader of replies beside two others, h11 and http.client, on replies sound and damaged."""

from __future__ import annotations

import http.client
import io
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from andon.wire.http_errors import WireError
from andon.wire.http_parser import ReplyParser

h11 = pytest.importorskip("h11")


@dataclass(frozen=True)
class Read:
    """What somebody made of a reply: nothing at all where it was refused."""

    status: int
    body: bytes


def ours(data: bytes, *, cuts: tuple[int, ...] = ()) -> Read | None:
    parser, body, last = ReplyParser(), bytearray(), 0
    try:
        for cut in (*sorted(cuts), len(data)):
            if cut > last and not parser.complete:
                body += b"".join(parser.feed(data[last:cut]))
                last = cut
        if not parser.complete:
            parser.end()
    except WireError:
        return None
    return Read(parser.status, bytes(body))


def by_h11(data: bytes) -> Read | None:
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=64 * 1024)
    reader.send(
        h11.Request(method="POST", target="/", headers=[("host", "h"), ("content-length", "0")])
    )
    reader.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    try:
        reader.receive_data(data)
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                reader.receive_data(b"")
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Read(status, bytes(body))
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


def by_library(data: bytes) -> Read | None:
    class Sock:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    reply = http.client.HTTPResponse(Sock(), method="POST")  # type: ignore[arg-type]
    try:
        reply.begin()
        body = reply.read()
    except (http.client.HTTPException, ValueError):
        return None
    return Read(reply.status, body)


# -- Sound replies --------------------------------------------------------------------------------

NAMES = st.sampled_from(["x-a", "X-Request-Id", "date", "server", "content-type", "x_1", "Vary"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.strip)


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, bytes, int]:
    """Draw a reply: its bytes, its body, its status."""
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    status = draw(st.sampled_from([200, 201, 400, 404, 429, 500, 503, 204, 304]))
    reason = draw(st.sampled_from([b" OK", b" Not here", b" ", b""]))
    body = b"" if status in (204, 304) else draw(st.binary(max_size=60))
    head = b"HTTP/%s %d%s\r\n" % (version, status, reason)
    fields = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    head += b"".join(b"%s: %s\r\n" % (n.encode(), v.encode()) for n, v in fields)
    form = draw(st.sampled_from(["length", "chunks", "end"]))
    if status in (204, 304):
        return head + b"\r\n", b"", status
    if form == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body, status
    if form == "end" or version == b"1.0":
        return head + b"Connection: close\r\n\r\n" + body, body, status
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    sizes = draw(st.lists(st.integers(1, 20), max_size=6))
    extension = draw(st.sampled_from([b"", b";a=b", b'; n="v"']))
    rest, coded = body, b""
    for size in [*sizes, len(body)]:
        piece, rest = rest[:size], rest[size:]
        if piece:
            coded += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
    trailers = draw(st.sampled_from([b"", b"x-sum: 1\r\n", b"a: b\r\nc: d\r\n"]))
    return head + coded + b"0\r\n" + trailers + b"\r\n", body, status


@given(replies(), st.lists(st.integers(0, 400), max_size=8))
def test_all_three_read_a_sound_reply_alike(
    reply: tuple[bytes, bytes, int], cuts: list[int]
) -> None:
    data, body, status = reply
    wanted = Read(status, body)
    assert ours(data, cuts=tuple(cut for cut in cuts if cut < len(data))) == wanted
    assert by_h11(data) == wanted
    assert by_library(data) == wanted


# -- Damaged ones ---------------------------------------------------------------------------------

TOKENS = [
    b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"0", b"1", b"f", b"-", b"+", b"\0", b"\xff", b"0x",
    b"Content-Length: 3\r\n", b"Content-Length: 4\r\n", b"Content-Length: +3\r\n", b"content-length:3 \r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"transfer-encoding : chunked\r\n", b" folded\r\n", b"HTTP/1.1 100 Go\r\n\r\n", b"HTTP/2 200\r\n",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a reply to which something happened."""
    data = draw(replies())[0]
    for _ in range(draw(st.integers(1, 3))):
        # Mostly where a line begins, which is where it hurts.
        starts = [0, *(i + 1 for i, byte in enumerate(data) if byte == 10)]
        at = draw(st.one_of(st.sampled_from(starts), st.integers(0, len(data))))
        if draw(st.booleans()):
            data = data[:at] + draw(st.sampled_from(TOKENS)) + data[at:]
        else:
            data = data[:at] + data[at + draw(st.integers(1, 4)) :]
    return data


@given(damaged())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
def test_nobody_reads_more_into_a_damaged_reply(data: bytes) -> None:
    # Whoever is stricter refuses; but two who both accept must not differ in what they read, or
    # somebody in between could be told another answer than we are.
    we, they = ours(data), by_h11(data)
    if we is not None and they is not None:
        assert we == they


@given(damaged(), st.lists(st.integers(0, 400), max_size=8))
def test_a_damaged_reply_is_read_alike_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert ours(data, cuts=tuple(cut for cut in cuts if cut < len(data))) == ours(data)
