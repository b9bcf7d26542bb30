"""Recording what a real server says, and saying it again.

::

    with ExchangeRecorder("https://api.example.com/v1") as recorder:
        ask(base_url=recorder.url)              # goes on to the real server
    recorder.write(Path("tests/hello.json"))    # without key, cookie or token

    with Replayer(Path("tests/hello.json")) as replayer:
        ask(base_url=replayer.url)              # is answered from the file
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from andon.errors import ConfigurationError
from andon.testing.exchanges import (
    Exchange,
    read_exchanges,
    redacted,
    same_request,
    write_exchanges,
)
from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    head,
    respond,
)

#: Headers that belong to one connection; and what would make the body unreadable.
_HOP = frozenset(
    {
        "accept-encoding", "connection", "content-length", "host", "keep-alive",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_PIECE = 64 * 1024


class ExchangeRecorder:
    """A server on this machine that sends each request on, and keeps the exchange without secrets.

    Secrets are struck out when an exchange is kept, so that not even its memory holds one. Use it
    in a ``with`` statement, and give its :attr:`url` to the client as base URL. The client takes it
    for a server on this machine, whatever is behind it: a privacy tier does not see through.

    :param target: the real server's base URL.
    :param secrets: texts to strike out besides those that are found.
    :param timeout: seconds to wait for the real server.
    """

    def __init__(self, target: str, secrets: Sequence[str] = (), timeout: float = 60.0) -> None:
        parts = urlsplit(target)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"a server's base URL begins with http(s)://, not {target!r}")
        self._target, self._secrets, self._timeout = parts, tuple(secrets), timeout
        self._lock = threading.Lock()
        self._server = ScriptedServer(lambda request: [_sending(self, request)])
        #: The exchanges so far, without secrets.
        self.exchanges: list[Exchange] = []

    @property
    def url(self) -> str:
        """What to give to the client as base URL."""
        return self._server.url + self._target.path.rstrip("/")

    def write(self, file: Path) -> None:
        """Write the exchanges to a file."""
        with self._lock:
            write_exchanges(self.exchanges, file)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    def pass_on(self, request: ReceivedRequest, peer: Peer) -> None:
        """Send a request on and its reply back, piece by piece, and keep both."""
        # The request is kept nowhere else.
        self._server.requests.clear()
        headers = {n: v for n, v in request.headers.items() if n not in _HOP}
        with closing(self._connection()) as connection:
            connection.request(request.method, request.target, request.body, headers)
            reply = connection.getresponse()
            shown = {n.lower(): v for n, v in reply.getheaders() if n.lower() not in _HOP}
            peer.send(head(reply.status, {**shown, "transfer-encoding": "chunked"}))
            pieces = list(_sent_on(reply, peer))
            peer.send(LAST_CHUNK)
        exchange = Exchange(
            method=request.method,
            target=request.target,
            request_headers=request.headers,
            request_body=request.body,
            status=reply.status,
            reply_headers=shown,
            pieces=pieces,
        )
        with self._lock:
            self.exchanges.append(redacted(exchange, self._secrets))

    def _connection(self) -> http.client.HTTPConnection:
        tls = self._target.scheme == "https"
        make = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        return make(str(self._target.hostname), self._target.port, timeout=self._timeout)


class Replayer:
    """A server on this machine that answers from recorded exchanges, for a ``with`` statement.

    A request is answered by the first exchange not yet played that asks the same: by method, path,
    query and body, secrets aside. One that nobody recorded is answered with status 404 and a
    message that says what was recorded, and is kept in :attr:`strangers`.

    :param source: a file, or exchanges.
    """

    def __init__(self, source: Path | Sequence[Exchange]) -> None:
        self._left = list(read_exchanges(source) if isinstance(source, Path) else source)
        self._lock = threading.Lock()
        self._server = ScriptedServer(self._answer)
        #: Requests that nobody recorded.
        self.strangers: list[ReceivedRequest] = []

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return self._server.url

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """The requests so far."""
        return self._server.requests

    @property
    def left(self) -> Sequence[Exchange]:
        """The exchanges that were not played."""
        return tuple(self._left)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    def _answer(self, request: ReceivedRequest) -> Script:
        asked = redacted(
            Exchange(
                method=request.method,
                target=request.target,
                request_headers=request.headers,
                request_body=request.body,
                status=0,
                reply_headers={},
                pieces=(),
            )
        )
        with self._lock:
            for place, exchange in enumerate(self._left):
                if same_request(exchange, asked):
                    return _script(self._left.pop(place))
            self.strangers.append(request)
            return [respond(404, self._unknown(asked).encode(), "text/plain; charset=utf-8")]

    def _unknown(self, asked: Exchange) -> str:
        known = [f"{one.method} {one.target} {one.request_body.decode()}" for one in self._left]
        body = asked.request_body.decode(errors="replace")
        return "\n".join(
            [f"nobody recorded {asked.method} {asked.target} {body}", "what is left:", *known]
        )


def _sending(recorder: ExchangeRecorder, request: ReceivedRequest) -> Callable[[Peer], None]:
    def step(peer: Peer) -> None:
        try:
            recorder.pass_on(request, peer)
        except (OSError, http.client.HTTPException) as error:
            peer.leave()
            peer.send(respond(502, f"the real server cannot be asked: {error!r}".encode()))

    return step


def _sent_on(reply: http.client.HTTPResponse, peer: Peer) -> Iterator[bytes]:
    while piece := reply.read1(_PIECE):
        peer.send(chunk(piece))
        yield piece


def _script(exchange: Exchange) -> Script:
    headers = {**exchange.reply_headers, "transfer-encoding": "chunked"}
    pieces = [chunk(piece) for piece in exchange.pieces if piece]
    return [head(exchange.status, headers), *pieces, LAST_CHUNK]
