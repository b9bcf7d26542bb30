"""A server on this machine that plays scripts, byte by byte, well or badly behaved.

A script is a sequence of steps for one request: bytes to send, or a function that does something
to the connection, like :func:`cut` or :func:`hold`.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from andon.wire.dialect import HTTPReply

#: What ends a body that comes in chunks.
LAST_CHUNK = b"0\r\n\r\n"

Step: TypeAlias = "bytes | Callable[[Peer], None]"
Script: TypeAlias = Sequence[Step]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that arrived.

    :param method: its HTTP method.
    :param target: its path with the query; the whole address where the server is a proxy.
    :param headers: its headers, names in lower case.
    :param body: the bytes of its body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class Peer:
    """The server's end of one connection, for steps of a script.

    :param server: the server.
    :param sock: the connection.
    """

    def __init__(self, server: ScriptedServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self._file = sock.makefile("rb")
        self._open = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)
        self.server.sent += len(data)

    def leave(self) -> None:
        """Serve no further request on this connection."""
        self._open = False

    def serve(self) -> None:
        """Serve requests until one side leaves."""
        while self._open and (request := self._read()) is not None:
            for step in self.server.script_for(request):
                if isinstance(step, bytes):
                    self.send(step)
                else:
                    step(self)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.sock.close()

    def _read(self) -> ReceivedRequest | None:
        line = self._file.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while field := self._file.readline().strip():
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", 0)))
        return ReceivedRequest(method, target, headers, body)


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Plays a script for each request. Use it in a ``with`` statement.

    :param otherwise: returns the script for a request for which :meth:`says` left none.
    :param tls: serves https with this context.
    :param patience: seconds to wait for what a sound client does at once; only broken ones see
        them pass.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        otherwise: Callable[[ReceivedRequest], Script] = lambda request: [respond(404, b"")],
        *,
        tls: ssl.SSLContext | None = None,
        patience: float = 2.0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.otherwise = otherwise
        self.tls = tls
        self.patience = patience
        self._lock = threading.Lock()
        self._scripts: list[Script] = []
        #: The requests so far.
        self.requests: list[ReceivedRequest] = []
        #: How many connections were made.
        self.connections = 0
        #: How many bytes were sent.
        self.sent = 0
        #: Set when a client has left before the server was done.
        self.client_left = threading.Event()
        #: Set when a script has come to :func:`hold`.
        self.holding = threading.Event()
        # The default of half a second would be waited for at the end of every test.
        self._thread = threading.Thread(target=self.serve_forever, args=(0.002,), daemon=True)

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def says(self, *scripts: Script) -> None:
        """Set the scripts for the next requests, one for each."""
        with self._lock:
            self._scripts = list(scripts)

    def sees_client_leave(self) -> bool:
        """Return whether a client has left, or does so at once."""
        return self.client_left.wait(self.patience)

    def script_for(self, request: ReceivedRequest) -> Script:
        """Note a request, and return what to do with it."""
        with self._lock:
            self.requests.append(request)
            return self._scripts.pop(0) if self._scripts else self.otherwise(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread."""
        with self._lock:
            self.connections += 1
        try:
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
        except OSError:
            return
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(self, request)
        try:
            peer.serve()
        except OSError:
            self.client_left.set()
        finally:
            peer.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


# -- What a script is made of -----------------------------------------------------------------


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the beginning of a reply."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def respond(status: int, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """Return a whole reply; an underscore in a header's name stands for a hyphen."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return head(status, {"content-type": kind, "content-length": str(len(body)), **more}) + body


def send_reply(reply: HTTPReply, **headers: str) -> bytes:
    """Return a whole reply, as a provider gives it, with further headers."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    length = str(len(reply.body))
    return head(reply.status, {**reply.headers, "content-length": length, **more}) + reply.body


def stream_head(headers: Mapping[str, str]) -> bytes:
    """Return the beginning of a reply whose body comes in chunks."""
    return head(200, {**headers, "transfer-encoding": "chunked"})


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def single_bytes(data: bytes) -> bytes:
    """Return bytes with each in a chunk of its own."""
    return b"".join(b"1\r\n%c\r\n" % byte for byte in data)


def hold(peer: Peer) -> None:
    """Say nothing until the client leaves."""
    peer.server.holding.set()
    peer.leave()
    if not peer.sock.recv(1):
        peer.server.client_left.set()


def cut(peer: Peer) -> None:
    """End the connection in order, whatever is missing."""
    peer.leave()
    peer.sock.shutdown(socket.SHUT_RDWR)


def reset(peer: Peer) -> None:
    """Break the connection off."""
    peer.leave()
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def endless(data: bytes, most: int = 128 * 1024 * 1024) -> Callable[[Peer], None]:
    """Return the step that sends the same chunk again and again until the client leaves.

    :param most: bytes after which it stops, to save the memory of a client that never leaves.
    """

    def step(peer: Peer) -> None:
        piece = chunk(data)
        for _ in range(0, most, len(piece)):
            peer.send(piece)
        cut(peer)

    return step


def await_event(event: threading.Event) -> Callable[[Peer], None]:
    """Return the step that waits until the test sets an event, or patience is over."""

    def step(peer: Peer) -> None:
        event.wait(peer.server.patience)

    return step
