"""The driver for asyncio: a body that is none, and the guard behind a library's error."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from andon.errors import EgressBlocked, TransportError
from andon.privacy.guard import arm
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
