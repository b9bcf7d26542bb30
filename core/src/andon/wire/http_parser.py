"""HTTP/1.1 replies, read from bytes however they are cut, and requests, written (RFC 9112).

Nothing is sent or waited for here. What a reply may be is read strictly where two readers could
differ about where it ends, since the next reply on the connection begins there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

from andon.wire.http_errors import LocalProtocolError, RemoteProtocolError

#: Most bytes of a reply's head, and of what may follow its last chunk.
MAX_HEAD = 64 * 1024

#: Most bytes of the line before a chunk.
_MAX_CHUNK_LINE = 1024

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\r\n]*)?\r?\n")
_FIELDS = re.compile(rf"(?:{_NAME}:[^\x00\r\n]*\r?\n)*")
_FOLD = re.compile(r"\r?\n[ \t]+")
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r\n]*)?\r\n")
_LENGTH = re.compile(r"[0-9]{1,18}")

_METHOD = re.compile(_NAME)
_SENT = re.compile(rf"(?:{_NAME}: [\t\x20-\x7e\x80-\xff]*\r\n)*")
_UNSAFE_URL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    :param host: name or address, without brackets.
    :param port: TCP port.
    :param tls: whether the connection is encrypted.
    :param authority: host and port as the request names them.
    :param path: path and query.
    """

    host: str
    port: int
    tls: bool
    authority: str
    path: str


@lru_cache(maxsize=256)
def read_url(url: str) -> Target:
    """Take a URL apart.

    :raises LocalProtocolError: no request can be sent there.
    """
    if _UNSAFE_URL.search(url):
        raise LocalProtocolError("the address holds a space or a control character")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError as error:
        raise LocalProtocolError(f"the address is none: {error}") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise LocalProtocolError("the address must be like http://host/path")
    tls = parts.scheme == "https"
    name = f"[{host}]" if ":" in host else host
    usual = 443 if tls else 80
    authority = name if port in (None, usual) else f"{name}:{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # What a dialect has encoded stays as it is: signatures go by the very bytes.
    if not path.isascii():
        path = quote(path, safe="".join(map(chr, range(33, 127))))
    return Target(host, usual if port is None else port, tls, authority, path)


def write_head(method: str, target: Target, headers: Mapping[str, str], length: int) -> bytes:
    """Return the head of a request.

    :param method: its method.
    :param target: where it goes.
    :param headers: its headers.
    :param length: bytes of its body.
    :raises LocalProtocolError: a header holds what would end it.
    """
    head = _head(method, target, tuple(headers.items()))
    if length or method not in {"GET", "HEAD"}:
        return b"%bcontent-length: %d\r\n\r\n" % (head, length)
    return head + b"\r\n"


# A backend's headers are mostly the same ones, from call to call.
@lru_cache(maxsize=256)
def _head(method: str, target: Target, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return the head of a request, but for the length of its body and the empty line."""
    fields = {"host": target.authority, "accept-encoding": "gzip, deflate"}
    for name, value in headers:
        fields[name.lower()] = value
    # Where the request ends is for nobody else to say: what is missing, or too much, would be
    # taken for the beginning of the next one.
    fields.pop("transfer-encoding", None)
    fields.pop("content-length", None)
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    # The second question finds a value that pretends to be a header of its own.
    if not _SENT.fullmatch(lines) or lines.count("\n") != len(fields):
        raise LocalProtocolError(f"the header {_spoiled(fields)!r} holds what no header may")
    if not _METHOD.fullmatch(method):
        raise LocalProtocolError(f"{method!r} is no method")
    return f"{method} {target.path} HTTP/1.1\r\n{lines}".encode("latin-1")


def _spoiled(fields: Mapping[str, str]) -> str:
    """Return the name of a header that cannot be sent; its value may be a secret."""
    lines = ((name, f"{name}: {value}\r\n") for name, value in fields.items())
    return next((n for n, line in lines if not _SENT.fullmatch(line) or line.count("\n") > 1), "")


class ReplyParser:
    """Reads one reply.

    :param method: of the request; a reply to HEAD has no body.
    """

    __slots__ = (
        "_buffer", "_chunk_open", "_head_only", "_left", "_read", "complete", "headers",
        "keep_alive", "started", "status",
    )  # fmt: skip

    def __init__(self, method: str = "POST") -> None:
        self._head_only = method == "HEAD"
        self._buffer = b""
        self._left = 0
        self._chunk_open = False
        self._read: Callable[[bytes], list[bytes]] = self._read_head
        #: The status, or 0 until the head is there.
        self.status = 0
        #: The headers, names in lower case; of one name, the values are joined by commas.
        self.headers: dict[str, str] = {}
        #: Whether anything has come.
        self.started = False
        #: Whether the reply is complete.
        self.complete = False
        #: Whether another request may follow on the connection.
        self.keep_alive = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return what they hold of the body, still compressed.

        What the server sent as one chunk is one piece, or the rest of one.

        :raises RemoteProtocolError: this is no HTTP.
        """
        self.started = True
        return self._read(data)

    def end(self) -> None:
        """Take note that the server has closed the connection.

        :raises RemoteProtocolError: the reply is not complete.
        """
        self.keep_alive = False
        if self.complete:
            return
        if self._read == self._read_rest:
            self.complete = True
            return
        if not self.started:
            raise RemoteProtocolError("it closed the connection without a reply")
        where = "body" if self.status else "head"
        raise RemoteProtocolError(f"the reply broke off in its {where}")

    # -- The head -----------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> list[bytes]:
        seen = len(self._buffer)
        if seen:
            data, self._buffer = self._buffer + data, b""
        while True:
            start = data[:7]
            if start != b"HTTP/1."[: len(start)]:
                raise RemoteProtocolError(f"it begins with {data[:40]!r}")
            end = _HEAD_END.search(data, max(seen - 2, 0))
            if (len(data) if end is None else end.end()) > MAX_HEAD:
                raise RemoteProtocolError(f"its head is longer than {MAX_HEAD} bytes")
            if end is None:
                self._buffer = data
                return []
            minor = self._take_head(data[: end.start() + 1].decode("latin-1"))
            data, seen = data[end.end() :], 0
            if self.status >= 200:
                break
            # An interim reply: the one that counts is still to come.
            if self.status == 101:
                raise RemoteProtocolError("it changes to another protocol")
            self.status = 0
        self._frame(minor)
        return self._read(data) if data else []

    def _take_head(self, head: str) -> str:
        status = _STATUS.match(head)
        if status is None:
            raise RemoteProtocolError(f"it begins with {head[:40]!r}")
        fields = head[status.end() :]
        if "\n " in fields or "\n\t" in fields:
            fields = _FOLD.sub(" ", fields)
        if not _FIELDS.fullmatch(fields):
            raise RemoteProtocolError("a line of its head is no header")
        headers: dict[str, str] = {}
        for line in fields.split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                name, value = name.lower(), value.strip(" \t\r")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.status, self.headers = int(status[2]), headers
        return status[1]

    def _frame(self, minor: str) -> None:
        """Settle where the body ends (RFC 9112, 6.3)."""
        headers = self.headers
        connection = headers.get("connection", "").lower()
        stays = "close" not in connection if minor == "1" else "keep-alive" in connection
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if self._head_only or self.status in (204, 304):
            self._finish(stays)
        elif coding is not None:
            if coding.lower() != "chunked":
                raise RemoteProtocolError(f"its transfer encoding is {coding[:40]!r}")
            # Both at once may be meant to be read in two ways: the connection ends with it.
            self.keep_alive = stays and length is None and minor == "1"
            self._read = self._read_chunks
        elif length is not None:
            self._left = _content_length(length)
            self.keep_alive, self._read = stays, self._read_length
            if not self._left:
                self._finish(stays)
        else:
            self._read = self._read_rest

    # -- The body -----------------------------------------------------------------------------

    def _read_length(self, data: bytes) -> list[bytes]:
        left = self._left
        self._left = left - len(data)
        if self._left <= 0:
            self._finish(self.keep_alive and not self._left)
        return [data if self._left >= 0 else data[:left]]

    def _read_rest(self, data: bytes) -> list[bytes]:
        return [data]

    def _read_more(self, data: bytes) -> list[bytes]:
        # What comes unasked would be taken for the next reply.
        if data:
            self.keep_alive = False
        return []

    def _read_chunks(self, data: bytes) -> list[bytes]:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at, size = 0, len(data)
        found: list[bytes] = []
        while at < size:
            if self._left:
                piece = data[at : at + self._left]
                found.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            if self._chunk_open:
                if not data.startswith(b"\r\n", at):
                    self._keep(data, at, b"\r\n")
                    break
                at, self._chunk_open = at + 2, False
                continue
            line = _CHUNK.match(data, at)
            if line is None:
                self._keep(data, at, b"")
                break
            at, left = line.end(), int(line[1], 16)
            if not left:
                self._read = self._read_trailers
                self._read_trailers(data[at:])
                break
            end = at + left
            if data.startswith(b"\r\n", end):  # it came whole, as most do
                found.append(data[at:end])
                at = end + 2
            else:
                self._left, self._chunk_open = left, True
        return found

    def _keep(self, data: bytes, at: int, wanted: bytes) -> None:
        """Keep the beginning of a line for the next bytes, if it can be one."""
        rest = data[at:]
        begun = wanted.startswith(rest) if wanted else b"\n" not in rest
        if not begun or len(rest) > _MAX_CHUNK_LINE:
            raise RemoteProtocolError(f"{rest[:20]!r} stands where a chunk should begin")
        self._buffer = rest

    def _read_trailers(self, data: bytes) -> list[bytes]:
        data = self._buffer + data
        if data.startswith((b"\r\n", b"\n")):
            end = data.index(b"\n") + 1
        elif found := _HEAD_END.search(data):
            end = found.end()
        else:
            self._buffer = data
            if len(data) > MAX_HEAD:
                raise RemoteProtocolError(f"what follows its end is longer than {MAX_HEAD} bytes")
            return []
        self._buffer = b""
        self._finish(self.keep_alive and end == len(data))
        return []

    def _finish(self, stays: bool) -> None:
        self.complete, self.keep_alive, self._read = True, stays, self._read_more


def _content_length(text: str) -> int:
    # Some servers send the same header twice.
    lengths = {part.strip() for part in text.split(",")}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise RemoteProtocolError(f"its content-length is {text[:40]!r}")
    return int(length)
