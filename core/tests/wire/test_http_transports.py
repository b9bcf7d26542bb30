"""Every transport against servers that behave well and badly, on the loopback."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from andon.errors import BackendError, RequestTimeout, TransportError
from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ScriptedServer,
    chunk,
    cut,
    endless,
    head,
    hold,
    respond,
    stream_head,
)
from andon.wire import http_pool
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.http_async import AsyncHTTPConnection
from andon.wire.waits import Timeouts

FINE = Timeouts(connect=10, first_byte=20, stall=20)
STREAM = stream_head({"content-type": "text/event-stream"})


class Threads:
    """The face for threads."""

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        self.connection = HTTPConnection(settings)

    def fetch(
        self, url: str, timeouts: Timeouts = FINE, *, limit: int = 10**6, body: bytes = b"{}",
        headers: Mapping[str, str] | None = None, repeatable: bool = True,
    ) -> tuple[int, Mapping[str, str], bytes]:  # fmt: skip
        with self.connection.send(
            "POST", url, headers or {}, body, timeouts, repeatable=repeatable
        ) as reply:
            return reply.status, reply.headers, reply.read(limit)

    def first(self, url: str, then: Callable[[], object]) -> bytes:
        """Read one piece, do something, and leave."""
        with self.connection.send("POST", url, {}, b"{}", FINE) as reply:
            pieces = reply.iter_bytes()
            piece = next(pieces)
            then()
            return piece

    def close(self) -> None:
        self.connection.close()


class Loop:
    """The face for asyncio, in an event loop of its own."""

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        self.connection = AsyncHTTPConnection(settings)
        self.loop = asyncio.new_event_loop()

    def fetch(self, *arguments: Any, **more: Any) -> tuple[int, Mapping[str, str], bytes]:
        return self.loop.run_until_complete(self.afetch(*arguments, **more))

    async def afetch(
        self, url: str, timeouts: Timeouts = FINE, *, limit: int = 10**6, body: bytes = b"{}",
        headers: Mapping[str, str] | None = None, repeatable: bool = True,
    ) -> tuple[int, Mapping[str, str], bytes]:  # fmt: skip
        async with await self.connection.send(
            "POST", url, headers or {}, body, timeouts, repeatable=repeatable
        ) as reply:
            return reply.status, reply.headers, await reply.aread(limit)

    def first(self, url: str, then: Callable[[], object]) -> bytes:
        async def run() -> bytes:
            async with await self.connection.send("POST", url, {}, b"{}", FINE) as reply:
                pieces = reply.aiter_bytes()
                piece = await anext(pieces)
                await asyncio.to_thread(then)
                await pieces.aclose()
                return piece

        return self.loop.run_until_complete(run())

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self.loop.run_until_complete(self.connection.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


Face = Threads | Loop
OWN = ["threads", "asyncio"]


def make(name: str, monkeypatch: pytest.MonkeyPatch, settings: Any = None) -> Face:
    kind = Threads if name.startswith("threads") else Loop
    if name.endswith("httpx2"):
        pytest.importorskip("httpx2")
        monkeypatch.setattr(ConnectionSettings, "needs_httpx", True)
    return kind(settings)


@pytest.fixture(params=[*OWN, "threads over httpx2", "asyncio over httpx2"])
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Face]:
    face = make(request.param, monkeypatch)
    yield face
    face.close()


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Face]:
    face = make(request.param, monkeypatch)
    yield face
    face.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda request: [respond(200, b"fine")]) as server:
        yield server


# -- Replies of every form ------------------------------------------------------------------------

LONG = b"0123456789" * 30_000

FORMS = {
    "length": [respond(200, LONG)],
    "chunks": [STREAM, chunk(LONG[:7]), chunk(LONG[7:]), LAST_CHUNK],
    "trailers": [STREAM, chunk(LONG), b"0\r\nx-sum: 1\r\n\r\n"],
    "until the end": [head(200, {"x": "y"}), LONG, cut],
    "old": [b"HTTP/1.0 200 OK\r\n\r\n", LONG, cut],
    "interim": [b"HTTP/1.1 100 Go\r\n\r\n", b"HTTP/1.1 103 Hints\r\na: b\r\n\r\n", respond(200, LONG)],
    "gzip": [respond(200, gzip.compress(LONG), content_encoding="gzip")],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_reply(server: ScriptedServer, face: Face, form: str) -> None:
    server.says(FORMS[form])
    assert face.fetch(server.url)[::2] == (200, LONG)
    assert face.fetch(server.url)[2] == b"fine"
    assert server.connections == (2 if cut in FORMS[form] else 1)


def test_what_is_sent(server: ScriptedServer, face: Face) -> None:
    body = b"x" * 3_000_000
    face.fetch(server.url + "/a%2Fb?c=d%20e", headers={"X-Key": "k"}, body=body)
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/a%2Fb?c=d%20e", body)
    assert dict(request.headers) == {
        "host": server.url.removeprefix("http://"),
        "accept-encoding": "gzip, deflate",
        "x-key": "k",
        "content-length": "3000000",
    }


def test_headers_come_in_lower_case(server: ScriptedServer, face: Face) -> None:
    server.says([b"HTTP/1.1 200 OK\r\nX-Id: 1\r\nx-id: 2\r\nContent-Length: 0\r\n\r\n"])
    assert face.fetch(server.url)[1]["x-id"] == "1, 2"


def test_a_request_never_smuggles_another(server: ScriptedServer, face: Face) -> None:
    for headers in ({"a": "b\r\nc: d"}, {"a": "b\n\nGET / HTTP/1.1"}):
        with pytest.raises(TransportError, match="not valid HTTP"):
            face.fetch(server.url, headers=headers)
    assert server.requests == []


def test_where_a_request_ends_is_not_for_its_headers_to_say(
    server: ScriptedServer, own: Face
) -> None:
    for name in ("Content-Length", "content-length", "Transfer-Encoding"):
        own.fetch(server.url, headers={name: "40"}, body=b"{}")
    assert [request.body for request in server.requests] == [b"{}"] * 3
    assert server.connections == 1


# -- Connections ----------------------------------------------------------------------------------


def test_a_connection_that_the_server_ended_is_not_used(server: ScriptedServer, face: Face) -> None:
    ended = threading.Event()
    server.says([respond(200, b"a"), cut, lambda _: ended.set()])
    assert face.fetch(server.url)[2] == b"a"
    assert ended.wait(10)
    assert face.fetch(server.url)[2] == b"fine"
    assert (len(server.requests), server.connections) == (2, 2)


def test_what_comes_unasked_is_no_answer(server: ScriptedServer, own: Face) -> None:
    # Not so over httpx2: h11 keeps what is left of a read for the next reply, out of our sight.
    server.says([respond(200, b"a") + respond(200, b"of another")])
    assert own.fetch(server.url)[2] == b"a"
    assert own.fetch(server.url)[2] == b"fine"


def test_a_request_that_a_server_did_not_hear(
    server: ScriptedServer, own: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Idle for seconds; the server ends the connection while the request is on its way.
    monkeypatch.setattr(http_pool, "MAY_HAVE_ENDED", 0.0)
    for repeatable in (True, False):
        own.fetch(server.url)
        server.says([cut])
        if repeatable:
            assert own.fetch(server.url, repeatable=True)[2] == b"fine"
        else:
            with pytest.raises(TransportError):
                own.fetch(server.url, repeatable=False)
    # On a new connection, and where something came, it is for the caller to ask again.
    server.says([cut])
    with pytest.raises(TransportError):
        own.fetch(server.url)
    own.fetch(server.url)
    server.says([b"HTTP/1.1 200", cut])
    with pytest.raises(TransportError):
        own.fetch(server.url)


def test_many_threads(server: ScriptedServer) -> None:
    face = Threads()
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: face.fetch(server.url)[2], range(200)))
    face.close()
    assert bodies == [b"fine"] * 200
    assert server.connections <= 8


def test_many_tasks(server: ScriptedServer) -> None:
    face = Loop()

    async def run() -> list[bytes]:
        return [r[2] for r in await asyncio.gather(*(face.afetch(server.url) for _ in range(60)))]

    assert face.loop.run_until_complete(run()) == [b"fine"] * 60
    assert face.loop.run_until_complete(run()) == [b"fine"] * 60
    assert server.connections == 60
    face.close()


def test_a_forked_process_has_connections_of_its_own(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = Threads()
    face.fetch(server.url)
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    assert face.fetch(server.url)[2] == b"fine"
    assert server.connections == 2
    face.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_what_a_child_does_is_not_heard_by_its_parent(server: ScriptedServer) -> None:
    face = Threads()
    with face.connection.send("POST", server.url, {}, b"{}", FINE) as reply:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are threads, and the child makes none
            child = os.fork()
        if not child:
            # It leaves the block as well, and must not keep, or end, what is its parent's.
            reply.close()
            fine = face.fetch(server.url)[2] == b"fine"
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert reply.read() == b"fine"
    assert face.fetch(server.url)[2] == b"fine"
    assert server.connections == 2
    face.close()


def test_a_loop_is_closed_from_outside(server: ScriptedServer) -> None:
    gone = threading.Event()
    server.says([respond(200, b"a"), hold, lambda _: gone.set()])
    face = Loop()
    assert face.fetch(server.url)[2] == b"a"
    face.connection.close()
    face.loop.run_until_complete(asyncio.sleep(0))
    assert gone.wait(10)
    assert face.fetch(server.url)[2] == b"fine"
    face.close()


def test_no_idle_connections_are_kept(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OWN:
        face = make(name, monkeypatch, ConnectionSettings(keep_alive=0))
        assert [face.fetch(server.url)[2] for _ in range(2)] == [b"fine"] * 2
        face.close()
    assert server.connections == 4


# -- Bad servers ----------------------------------------------------------------------------------


def test_a_body_without_end(server: ScriptedServer, face: Face) -> None:
    server.says([STREAM, endless(b"x" * 65536)])
    with pytest.raises(BackendError, match="more than 100000 bytes"):
        face.fetch(server.url, limit=100_000)
    assert server.client_left.wait(10)
    assert server.sent < 20_000_000
    assert face.fetch(server.url)[2] == b"fine"


def test_a_bomb(server: ScriptedServer, face: Face) -> None:
    server.says([respond(200, gzip.compress(b"\0" * 50_000_000), content_encoding="gzip")])
    with pytest.raises(BackendError, match="more than 300000 bytes"):
        face.fetch(server.url, limit=300_000)
    assert face.fetch(server.url)[2] == b"fine"


def test_headers_without_end(server: ScriptedServer, face: Face) -> None:
    def babble(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000_000):
            peer.send(b"x-%d: y\r\n" % number * 100)

    server.says([babble])
    with pytest.raises(TransportError, match="does not speak HTTP"):
        face.fetch(server.url)
    assert server.client_left.wait(10)
    assert face.fetch(server.url)[2] == b"fine"


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"220 mail ready\r\n\r\n"])
def test_another_protocol(server: ScriptedServer, face: Face, said: bytes) -> None:
    server.says([said, hold])
    with pytest.raises(TransportError) as caught:
        face.fetch(server.url)
    assert f"POST {server.url}" in str(caught.value)
    assert "http or https" in str(caught.value)
    assert face.fetch(server.url)[2] == b"fine"


def test_what_came_instead_is_shown(server: ScriptedServer, own: Face) -> None:
    server.says([b"SSH-2.0-OpenSSH_9.6\r\n", hold])
    with pytest.raises(TransportError, match=r"SSH-2\.0-OpenSSH"):
        own.fetch(server.url)


def test_a_coding_that_was_not_asked_for(server: ScriptedServer, face: Face) -> None:
    server.says([respond(200, b"x", content_encoding="br")])
    with pytest.raises(TransportError, match=r"compression.*'br'"):
        face.fetch(server.url)


def test_a_slow_reader_holds_the_server_up(server: ScriptedServer, face: Face) -> None:
    stuck = threading.Event()

    def flood(peer: Peer) -> None:
        peer.sock.settimeout(1.0)
        try:
            endless(b"x" * 65536, 200_000_000)(peer)
        except TimeoutError:
            peer.leave()
        stuck.set()

    server.says([STREAM, flood])
    assert face.first(server.url, lambda: stuck.wait(30))
    assert server.sent < 50_000_000


def test_a_server_that_answers_before_it_has_heard(own: Face) -> None:
    def refuse(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(respond(413, b"too much"))
            while peer.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        status, _, body = own.fetch(url, body=b"x" * 8_000_000)
        own.close()
        thread.join(10)
    assert (status, body) == (413, b"too much")


# -- Time -----------------------------------------------------------------------------------------


def trickle(peer: Peer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 5000:
        peer.send(bytes([byte]))
        if peer.server.client_left.wait(0.01):
            return


@pytest.mark.parametrize(
    ("timeouts", "said"),
    [
        (Timeouts(total=0.2), "timeout of 0.2 s"),
        (Timeouts(first_byte=0.2), "nothing came for 0.2 s; a longer first_token_timeout"),
    ],
)
def test_a_head_that_trickles_does_not_outlive_its_time(
    server: ScriptedServer, own: Face, timeouts: Timeouts, said: str
) -> None:
    server.says([trickle])
    started = time.monotonic()
    with pytest.raises(RequestTimeout, match=said):
        own.fetch(server.url, timeouts)
    assert time.monotonic() - started < 5
    assert server.client_left.wait(10)


def test_a_server_that_does_not_listen_to_the_request(own: Face) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(RequestTimeout, match=r"could not be sent within 0\.2 s"):
            own.fetch(url, Timeouts(stall=0.2), body=b"x" * 20_000_000)


def test_a_request_that_is_heard_slowly_does_not_outlive_its_total(own: Face) -> None:
    over = threading.Event()

    def listen(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            while not over.wait(0.01):
                peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        served = pool.submit(listen, listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        try:
            with pytest.raises(RequestTimeout, match=r"timeout of 0\.3 s"):
                own.fetch(url, Timeouts(stall=5, total=0.3), body=b"x" * 20_000_000)
        finally:
            over.set()
        assert time.monotonic() - started < 4
        served.result(10)


def test_a_connection_that_is_not_made(own: Face) -> None:
    # A listener whose queue is full lets the next one wait.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
            with pytest.raises(TransportError, match=r"no connection within 0\.2 s"):
                own.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(connect=0.2))
        finally:
            for sock in waiting:
                sock.close()
