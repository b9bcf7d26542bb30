"""HTTP for threads: the one door to the network. What asyncio has is in ``http_async``.

The transport is andon's own, over sockets: a call through it costs a third of what httpx2 takes,
and a program that makes one call waits for no library (docs/explanation/speed.md has the figures).
Proxies and HTTP/2 are httpx2's, behind the same face (:mod:`andon.wire.http_httpx`). Either way
there are no cookies, redirects, ``.netrc`` or environment variables, which an API call must not
have.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, cast

from andon.errors import BackendError
from andon.wire import http_pool
from andon.wire.http_coding import inflater, undo
from andon.wire.http_connect import connect, silence
from andon.wire.http_errors import ReadTimeout, RemoteProtocolError, WireError, WriteTimeout
from andon.wire.http_parser import ReplyParser, Target, read_url, write_head
from andon.wire.http_pool import IdlePool
from andon.wire.http_tls import ssl_context
from andon.wire.waits import MAX_BODY, Timeouts, Waits

if TYPE_CHECKING:
    import ssl

    from andon.privacy.egress import EgressPolicy
    from andon.wire.http_httpx import HTTPXConnection

#: Most bytes that are taken from the network at once.
_ROOM = 64 * 1024

#: What can go wrong with a connection.
FAILURES = (WireError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to connect. Nothing of it is ever read from the environment.

    :param ca_file: a file of certificates to trust instead of the system's.
    :param proxy: URL of a proxy.
    :param keep_alive: most idle connections that are kept.
    :param tls: whether https is needed; loading certificates takes longer than a call.
    :param http2: whether HTTP/2 is spoken, where the server can.
    :param egress: where connections may lead; anywhere where None.
    """

    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    keep_alive: int = 100
    tls: bool = True
    http2: bool = False
    egress: EgressPolicy | None = None

    @property
    def needs_httpx(self) -> bool:
        """Whether that takes more than our own transport."""
        return self.proxy is not None or self.http2


class HTTPResponse:
    """A reply whose head has arrived. It must be closed."""

    __slots__ = ("_waits", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], waits: Waits) -> None:
        self.status = status
        self.headers = headers
        self._waits = waits

    def expect_end(self) -> None:
        """Wait only a moment for the rest, which does not matter, nor whether it breaks off."""
        self._waits.ending = True

    def iter_bytes(self) -> Generator[bytes, None, None]:
        """Give the body, decompressed, as it comes.

        :raises TransportError: the connection broke.
        :raises RequestTimeout: it took longer than it may.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the connection back; end it if the body was not read to its end."""
        raise NotImplementedError

    def read(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body.

        :param limit: most bytes.
        :param cut: return the beginning of a larger body.
        :raises BackendError: the body is larger.
        """
        body = bytearray()
        for data in self.iter_bytes():
            body += data
            if len(body) > limit:
                break
        return within(bytes(body), limit, cut, self._waits, self.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def within(body: bytes, limit: int, cut: bool, waits: Waits, status: int) -> bytes:
    """Return a body that is not too large, or the beginning of one that is.

    :raises BackendError: it is too large, and the beginning will not do.
    """
    if len(body) <= limit:
        return body
    if cut:
        return body[:limit]
    raise BackendError(
        f"{waits.what} brought a reply of more than {limit} bytes, the limit for a reply that is "
        "read whole; is it the right address?",
        status=status,
    )


class SocketResponse(HTTPResponse):
    """A reply of our own transport."""

    __slots__ = ("_first", "_line", "_parser", "_pool")

    def __init__(self, pool: HTTPConnection, line: _Line, first: list[bytes], waits: Waits) -> None:
        super().__init__(line.parser.status, line.parser.headers, waits)
        self._pool = pool
        self._line: _Line | None = line
        self._parser = line.parser
        self._first = first  # what came of the body with the head

    def iter_bytes(self) -> Generator[bytes, None, None]:
        """Give the body, decompressed, as it comes; see :meth:`HTTPResponse.iter_bytes`."""
        waits = self._waits
        try:
            coding = inflater(self.headers.get("content-encoding"))
            pieces = self._compressed()
            for piece in pieces if coding is None else undo(coding, pieces):
                waits.body = True
                yield piece
                waits.check()
            if coding is not None:
                coding.finish()
        except FAILURES as error:
            self.close()
            if not waits.ending:
                raise waits.explain(error) from error

    def read(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`HTTPResponse.read`."""
        if self._line is None or not self._parser.complete or "content-encoding" in self.headers:
            return super().read(limit, cut=cut)
        # Most replies are small, and came whole with their head.
        pieces, self._first = self._first, []
        return within(b"".join(pieces), limit, cut, self._waits, self.status)

    def _compressed(self) -> Generator[bytes, None, None]:
        pieces, self._first = self._first, []
        while True:
            yield from pieces
            if self._parser.complete:
                return
            if self._line is None:
                raise RemoteProtocolError("the reply was closed before its end")
            pieces = self._line.receive(self._waits.read())

    def close(self) -> None:
        """Give the connection back; see :meth:`HTTPResponse.close`."""
        line, self._line = self._line, None
        if line is not None:
            self._pool.take_back(line)


def is_stale(error: Exception, parser: ReplyParser, idle: float) -> bool:
    """Return whether a connection seems to have ended while it was idle.

    :param error: what became of the request.
    :param parser: what has come of a reply.
    :param idle: for how many seconds the connection was idle.
    """
    late = isinstance(error, ReadTimeout | WriteTimeout)
    return idle >= http_pool.MAY_HAVE_ENDED and not parser.started and not late


class _Line:
    """One connection, for one request at a time."""

    __slots__ = ("_is_silent", "parser", "process", "sock", "target")

    def __init__(self, target: Target, sock: socket.socket) -> None:
        self.target = target
        self.sock = sock
        self.process = os.getpid()
        self.parser = ReplyParser()
        self._is_silent = silence(sock)

    def is_quiet(self) -> bool:
        """Whether nothing has come, not even the end: an idle server has nothing to say."""
        if self.target.tls and cast("ssl.SSLSocket", self.sock).pending():
            return False
        return self._is_silent()

    def send(self, head: bytes, body: bytes, waits: Waits) -> None:
        """Send a request; each piece of it may take a pause."""
        if len(body) <= _ROOM:
            head, body = head + body, b""
        try:
            for data in (head, body):
                view = memoryview(data)
                while view:
                    self.sock.settimeout(waits.pause())
                    view = view[self.sock.send(view) :]
        except TimeoutError as error:
            raise WriteTimeout(str(error)) from error

    def receive(self, pause: float | None) -> list[bytes]:
        """Wait for more of the reply; return what it holds of the body, maybe nothing."""
        self.sock.settimeout(pause)
        try:
            data = self.sock.recv(_ROOM)
        except TimeoutError as error:
            raise ReadTimeout(str(error)) from error
        if data:
            return self.parser.feed(data)
        self.parser.end()
        return []

    def receive_head(self, pause: float | None) -> list[bytes]:
        """Wait for the reply's head; all of it may take a pause."""
        until = None if pause is None else time.monotonic() + pause
        first = self.receive(pause)
        while not self.parser.status:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise ReadTimeout
            first = self.receive(left)
        return first


class HTTPConnection:
    """Connections that are kept and used again, for any number of threads.

    :param settings: how to connect.
    :raises SettingsError: the file of certificates or the proxy cannot be used.
    """

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        self._settings = settings or ConnectionSettings()
        self._other: HTTPXConnection | None = None
        if self._settings.needs_httpx:
            from andon.wire.http_httpx import HTTPXConnection

            self._other = HTTPXConnection(self._settings)
        elif self._settings.tls:
            # Loading certificates takes long: here, and not in the first request.
            ssl_context(self._settings.ca_file)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._idle: IdlePool[_Line] = IdlePool(self._settings.keep_alive)
        self._process = os.getpid()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: Timeouts,
        *,
        repeatable: bool = True,
    ) -> HTTPResponse:
        """Send a request; return the reply as soon as its head is there.

        :param repeatable: whether it may be sent again where a connection that was idle turns
            out to have ended: most likely nobody heard it, but that cannot be known.
        :raises TransportError: there is no connection, or it broke.
        :raises RequestTimeout: it took longer than it may.
        :raises PrivacyViolation: it would go where it must not; nothing was sent.
        """
        if self._other is not None:
            return self._other.send(method, url, headers, body, timeouts)
        waits = Waits(timeouts, url, method)
        try:
            target = read_url(url)
            head = write_head(method, target, headers, len(body))
            line, idle = self._take(target)
            if line is not None:
                try:
                    return self._exchange(line, method, head, body, waits)
                except FAILURES as error:
                    if not (repeatable and is_stale(error, line.parser, idle)):
                        raise
            return self._exchange(self._connect(target, waits), method, head, body, waits)
        except FAILURES as error:
            raise waits.explain(error) from error

    def _connect(self, target: Target, waits: Waits) -> _Line:
        settings, tls = self._settings, None
        if target.tls:
            tls = ssl_context(settings.ca_file, tls=settings.tls)
        timeout = waits.within(waits.limits.connect)
        return _Line(target, connect(target, tls, timeout, settings.egress))

    def _exchange(
        self, line: _Line, method: str, head: bytes, body: bytes, waits: Waits
    ) -> SocketResponse:
        line.parser = ReplyParser(method)
        try:
            try:
                line.send(head, body, waits)
            except OSError as error:
                first = self._answer_all_the_same(line, error)
            else:
                first = line.receive_head(waits.read())
            return SocketResponse(self, line, first, waits)
        except BaseException:
            line.sock.close()
            raise

    @staticmethod
    def _answer_all_the_same(line: _Line, error: OSError) -> list[bytes]:
        """Read the reply of a server that did not want to hear the whole request."""
        try:
            first = line.receive_head(0.2)
        except FAILURES:
            raise error from None
        line.parser.keep_alive = False
        return first

    def _take(self, target: Target) -> tuple[_Line | None, float]:
        if self._process != os.getpid():
            # A fork: the connections are the parent's, and its lock may be held for ever. To
            # close them here ends none of them there.
            inherited = self._idle.clear()
            self._begin()
            for parents in inherited:
                parents.sock.close()
        while True:
            with self._lock:
                line, idle, old = self._idle.take(target, time.monotonic())
            for other in old:
                other.sock.close()
            if line is None or line.is_quiet():
                return line, idle
            line.sock.close()

    def take_back(self, line: _Line) -> None:
        """Keep a connection for the next request, if it can be used again."""
        surplus = [line]
        if line.parser.complete and line.parser.keep_alive and line.process == os.getpid():
            with self._lock:
                if not self._closed:
                    surplus = self._idle.put(line.target, line, time.monotonic())
        for other in surplus:
            other.sock.close()

    def close(self) -> None:
        """Close every connection; those in use when their reply ends."""
        if self._other is not None:
            self._other.close()
        with self._lock:
            self._closed = True
            lines = self._idle.clear()
        for line in lines:
            line.sock.close()
