"""Replies read from bytes, however they are cut, and requests written."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.wire.http_errors import LocalProtocolError, RemoteProtocolError
from andon.wire.http_parser import MAX_HEAD, ReplyParser, read_url, write_head

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(
    data: bytes, cuts: tuple[int, ...] = (), method: str = "POST"
) -> tuple[ReplyParser, bytes]:
    parser, body = ReplyParser(method), b""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        body += b"".join(parser.feed(data[begin:end]))
    return parser, body


REPLIES = {
    "length": (OK + b"Content-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello", b"hello", True),
    "the same length twice": (OK + b"content-length: 5, 5\r\n\r\nhello", b"hello", True),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n", b"hello!", True),
    "chunk sizes": (CHUNKED + b"00A \r\n0123456789\r\n0\r\n\r\n", b"0123456789", True),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"x", True),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "no length at all": (OK + b"content-length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", b"x", True),
    "closing": (OK + b"Connection: Close\r\ncontent-length: 1\r\n\r\nx", b"x", False),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", b"x", False),
    "old and staying": (
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx", b"x", True,
    ),
    "interim": (
        b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" * 3
        + OK + b"content-length: 1\r\n\r\nx", b"x", True,
    ),
    "line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 9\n\n\r\n\r\nxxxxx", b"\r\n\r\nxxxxx", True),
    "a folded header": (OK + b"x-a: 1\r\n  2\r\ncontent-length: 1\r\n\r\nx", b"x", True),
    "both": (
        OK + b"content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"x", False,
    ),
    "too much": (OK + b"content-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n", b"x", False),
    "too much after chunks": (CHUNKED + b"1\r\nx\r\n0\r\n\r\nHTTP/1.1", b"x", False),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
@given(cuts=st.tuples(*[st.integers(0, 400)] * 6))
def test_a_reply_is_the_same_however_it_is_cut(name: str, cuts: tuple[int, ...]) -> None:
    data, wanted, stays = REPLIES[name]
    for where in (cuts, tuple(range(len(data))), ()):
        parser, body = read(data, where)
        assert (body, parser.complete, parser.keep_alive) == (wanted, True, stays)


def test_headers_are_joined_and_unfolded() -> None:
    assert read(REPLIES["length"][0])[0].headers == {"content-length": "5", "x-a": "1, 2"}
    assert read(REPLIES["a folded header"][0])[0].headers["x-a"] == "1 2"


def test_a_body_may_last_until_the_end() -> None:
    parser, body = read(OK + b"\r\nabc")
    assert (body, parser.complete) == (b"abc", False)
    parser.end()
    assert (parser.complete, parser.keep_alive) == (True, False)


def test_a_reply_to_head_has_no_body() -> None:
    parser, body = read(OK + b"content-length: 5\r\n\r\n", method="HEAD")
    assert (body, parser.complete, parser.keep_alive) == (b"", True, True)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        OK + b"a b: c\r\n\r\n",
        OK + b"a : c\r\n\r\n",
        OK + b": c\r\n\r\n",
        OK + b"a: b\x00\r\n\r\n",
        OK + b"a: b\rc: d\r\n\r\n",
        OK + b"nonsense\r\n\r\n",
        OK + b"content-length: 5, 6\r\n\r\nhello",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: +5\r\n\r\n",
        OK + b"content-length: 0x5\r\n\r\n",
        OK + b"content-length: \xb2\r\n\r\n",
        OK + b"content-length: " + b"9" * 30 + b"\r\n\r\n",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n",
        OK + b"transfer-encoding: chunked, chunked\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\n",
        CHUNKED + b"1_0\r\n",
        CHUNKED + b"1\nx\r\n",
        CHUNKED + b"1\r\nxy\r\n",
        CHUNKED + b"1" * 2000,
        CHUNKED + b"0\r\n" + b"a: b\r\n" * 20_000,
        OK + b"x-a: b\r\n" * (MAX_HEAD // 8 + 1),
        OK + b"x" * (MAX_HEAD + 1),
    ],
)  # fmt: skip
def test_what_is_no_http(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(data)
    with pytest.raises(RemoteProtocolError):
        read(data, tuple(range(0, len(data), 7)))


def test_interim_replies_are_not_kept() -> None:
    parser, _ = read(b"HTTP/1.1 100 Go\r\nx: y\r\n\r\n" * 50_000)
    assert parser.status == 0 and len(parser._buffer) == 0


@pytest.mark.parametrize("size", range(len(REPLIES["chunks"][0])))
def test_the_end_comes_too_early(size: int) -> None:
    parser, _ = read(REPLIES["chunks"][0][:size])
    with pytest.raises(RemoteProtocolError, match=r"broke off|without a reply"):
        parser.end()


@given(st.binary(max_size=300), st.sampled_from([b"", OK, CHUNKED, CHUNKED + b"5\r\nhel"]))
def test_junk_is_an_error_or_a_reply(junk: bytes, before: bytes) -> None:
    try:
        parser, body = read(before + junk, (3, 50, 77))
        parser.end()
    except RemoteProtocolError:
        return
    assert parser.complete and isinstance(body, bytes)


# -- Against another reader -----------------------------------------------------------------------

_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
_NAMES = st.text("abcdefgh-", min_size=1, max_size=8).map(lambda name: f"x-{name}")


@given(
    status=st.sampled_from([200, 201, 204, 304, 400, 429, 500]),
    headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=8),
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    framing=st.sampled_from(["length", "chunked", "end"]),
    close=st.booleans(),
    cuts=st.tuples(*[st.integers(0, 600)] * 5),
)
def test_it_reads_as_h11_does(
    status: int, headers: list[tuple[str, str]], pieces: list[bytes], framing: str, close: bool,
    cuts: tuple[int, ...],
) -> None:  # fmt: skip
    h11 = pytest.importorskip("h11")
    data = f"HTTP/1.1 {status} Fine\r\n".encode()
    fields = [*headers, *([("Connection", "close")] if close else [])]
    bodiless = status in (204, 304)
    if framing == "length":
        fields.append(("Content-Length", str(sum(map(len, pieces)))))
    elif framing == "chunked" and not bodiless:
        fields.append(("Transfer-Encoding", "chunked"))
    data += "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n"
    for piece in () if bodiless else pieces:
        data += b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece
    data += b"0\r\n\r\n" if framing == "chunked" and not bodiless else b""
    parser, body = read(data, cuts)
    if not parser.complete:
        parser.end()
    theirs = h11.Connection(h11.CLIENT)
    theirs.send(h11.Request(method="POST", target="/", headers=[("host", "h")]))
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(data)
    theirs.receive_data(b"")
    reply, found = theirs.next_event(), b""
    while isinstance(event := theirs.next_event(), h11.Data):
        found += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert (parser.status, body) == (reply.status_code, found)
    joined: dict[str, Any] = {}
    for name, value in reply.headers:
        joined.setdefault(name.decode(), []).append(value.decode())
    assert parser.headers == {name: ", ".join(values) for name, values in joined.items()}


# -- Requests -------------------------------------------------------------------------------------


def test_a_request() -> None:
    head = write_head("POST", read_url("http://h:80/v1?a=b#c"), {"X-Key": "sk"}, 7)
    assert head == (
        b"POST /v1?a=b HTTP/1.1\r\nhost: h\r\naccept-encoding: gzip, deflate\r\nx-key: sk\r\n"
        b"content-length: 7\r\n\r\n"
    )
    assert b"content-length" not in write_head("GET", read_url("http://h"), {}, 0)
    assert b"content-length: 0" in write_head("POST", read_url("http://h"), {}, 0)
    named = write_head("GET", read_url("http://h"), {"Host": "other"}, 0)
    assert b"host: other\r\n" in named and named.count(b"host") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"a": "b\r\nc: d"}, {"a": "b\nc: d"}, {"a": "b\r"}, {"a\r\nb": "c"}, {"a b": "c"},
        {"": "c"}, {"a:": "c"}, {"a": "\x00"}, {"a": "\u2028"},
    ],
)  # fmt: skip
def test_no_header_smuggles_another(headers: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError, match="header") as caught:
        write_head("POST", read_url("http://h"), {"x-key": "sk-secret", **headers}, 0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET /", "GE\r\nT", ""])
def test_no_method_smuggles_a_header(method: str) -> None:
    with pytest.raises(LocalProtocolError, match="method"):
        write_head(method, read_url("http://h"), {}, 0)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h", ("h", 80, False, "h", "/")),
        ("https://h/", ("h", 443, True, "h", "/")),
        ("https://H:8443/a?b=c", ("h", 8443, True, "h:8443", "/a?b=c")),
        ("http://[::1]:80/a", ("::1", 80, False, "[::1]", "/a")),
        ("http://[::1]:8080", ("::1", 8080, False, "[::1]:8080", "/")),
        ("http://bücher.example/ü", ("xn--bcher-kva.example", 80, False,
                                     "xn--bcher-kva.example", "/%C3%BC")),
        ("http://h/a%2Fb:generate?x=%20", ("h", 80, False, "h", "/a%2Fb:generate?x=%20")),
    ],
)  # fmt: skip
def test_addresses(url: str, wanted: tuple[object, ...]) -> None:
    target = read_url(url)
    assert (target.host, target.port, target.tls, target.authority, target.path) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "h/v1", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://u:p@h",
        "http://h/a b", "http://h/\r\nx: y", "http://h/\x00", "http://" + "ü" * 80 + ".example",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        read_url(url)


def test_what_comes_compressed_stays_so() -> None:
    body = gzip.compress(b"x" * 1000)
    data = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    assert read(data)[1] == body
