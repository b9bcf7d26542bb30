"""The driver for asyncio: what only a loop can do wrong, and the guard behind a library's error."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from andon.errors import EgressBlocked, TransportError
from andon.privacy.guard import arm
from andon.testing.server import Peer, ReceivedRequest, ScriptedServer, cut, respond
from andon.wire.http_async import AsyncHTTPConnection
from andon.wire.waits import Timeouts

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def damaged() -> Iterator[tuple[int, threading.Event]]:
    """Answer with a good chunk and, once that has been read, with what is none."""
    was_read = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(HEAD + b"2\r\nab\r\n")
                was_read.wait(10)
                peer.sendall(b"zz\r\nnonsense")
                peer.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], was_read
        was_read.set()
        thread.join(10)


def test_a_chunk_that_is_none_ends_the_waiting(damaged: tuple[int, threading.Event]) -> None:
    port, was_read = damaged
    pieces: list[bytes] = []

    async def run() -> None:
        connection = AsyncHTTPConnection()
        limits, url = Timeouts(stall=20), f"http://127.0.0.1:{port}/"
        try:
            async with await connection.send("POST", url, {}, b"{}", limits) as reply:
                async for data in reply.aiter_bytes():
                    pieces.append(data)
                    was_read.set()
        finally:
            await connection.aclose()

    with pytest.raises(TransportError, match="does not speak HTTP"):
        asyncio.run(run())
    assert pieces == [b"ab"]


def test_the_guards_own_error_comes_through() -> None:
    async def run() -> None:
        connection = AsyncHTTPConnection()
        lease = arm()
        try:
            await connection.send("GET", "http://192.0.2.1/", {}, b"", Timeouts(connect=5))
        finally:
            lease.release()
            await connection.aclose()

    with pytest.raises(EgressBlocked, match="guard"):
        asyncio.run(run())


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("size", [10, 30_000, 100_000])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_connection_that_ends_at_the_last_moment(
    size: int, repeatable: bool, alone: bool
) -> None:
    """A request that was not sent yet goes over another connection, whatever it is."""
    heard: list[bytes] = []
    ending, ended, over = threading.Event(), threading.Event(), threading.Event()

    def leave(peer: Peer) -> None:
        ending.wait(10)
        cut(peer)
        ended.set()

    def answer(request: ReceivedRequest) -> Any:
        heard.append(request.body)
        reply = respond(200, b"hello")
        if request.body == b"other":
            return [lambda peer: over.wait(10), reply]
        return [reply, leave] if request.body == b"first" else [reply]

    async def ask(connection: AsyncHTTPConnection, url: str, body: bytes) -> bytes:
        send = connection.send("POST", url, {}, body, Timeouts(), repeatable=repeatable)
        async with await send as reply:
            return await reply.aread()

    async def run(url: str) -> None:
        connection = AsyncHTTPConnection()
        try:
            # With another one under way, a small request is sent in the loop's next turn.
            other = None if alone else asyncio.create_task(ask(connection, url, b"other"))
            assert await ask(connection, url, b"first") == b"hello"
            if alone or size > 20_000:
                # Sent where it is made: what ends before that is there to be seen.
                ending.set()
                assert ended.wait(10)
            again = asyncio.create_task(ask(connection, url, b"x" * size))
            # In the turn in which the task begins, and before the one in which it is sent.
            asyncio.get_running_loop().call_soon(lambda: (ending.set(), ended.wait(10)))
            assert await again == b"hello"
            over.set()
            assert other is None or await other == b"hello"
        finally:
            over.set()
            await connection.aclose()

    with ScriptedServer(answer) as server:
        asyncio.run(run(server.url))
    others = [] if alone else [b"other"]
    assert sorted(heard) == sorted([b"first", b"x" * size, *others])
