"""The server that plays scripts."""

from __future__ import annotations

import socket
import threading

import pytest

from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ScriptedServer,
    await_event,
    chunk,
    cut,
    endless,
    hold,
    reset,
    respond,
    send_reply,
    single_bytes,
    stream_head,
)
from andon.wire.dialect import HTTPReply

REQUEST = (
    b'POST /a?b=1 HTTP/1.1\r\nHost: x\r\nX-Odd:  two words \r\nContent-Length: 8\r\n\r\n{"a": 1}'
)


def connect(server: ScriptedServer) -> socket.socket:
    return socket.create_connection(server.server_address[:2], timeout=10)


def ask(server: ScriptedServer, request: bytes = REQUEST) -> bytes:
    """Send a request, and return everything until the server leaves."""
    with connect(server) as sock:
        sock.sendall(request)
        data = b""
        while piece := sock.recv(65536):
            data += piece
        return data


def test_a_request_is_kept() -> None:
    with ScriptedServer() as server:
        server.says([respond(200, b"{}", x_extra="yes"), cut])
        data = ask(server)
        [request] = server.requests
    assert data == (
        b"HTTP/1.1 200 Scripted\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        b"x-extra: yes\r\n\r\n{}"
    )
    assert (request.method, request.target, request.json()) == ("POST", "/a?b=1", {"a": 1})
    assert request.headers["x-odd"] == "two words"
    assert (server.connections, server.sent) == (1, len(data))


def test_each_request_has_its_script_and_then_the_usual_one() -> None:
    with ScriptedServer(lambda request: [respond(202, request.body), cut]) as server:
        server.says([respond(201, b"first"), cut])
        assert ask(server).endswith(b"first")
        assert ask(server).endswith(b'{"a": 1}')


def test_one_connection_serves_many_requests() -> None:
    with ScriptedServer() as server, connect(server) as sock:
        server.says([respond(200, b"a")], [respond(200, b"b"), cut])
        sock.sendall(REQUEST + REQUEST)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.count(b"HTTP/1.1 200") == 2
    assert (server.connections, len(server.requests)) == (1, 2)


def test_chunks() -> None:
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert single_bytes("é".encode()) == b"1\r\n\xc3\r\n1\r\n\xa9\r\n"
    assert stream_head({"content-type": "a/b"}).endswith(b"transfer-encoding: chunked\r\n\r\n")
    reply = HTTPReply(status=418, headers={"a": "b"}, body=b"tea")
    assert send_reply(reply, c="d").startswith(
        b"HTTP/1.1 418 Scripted\r\na: b\r\ncontent-length: 3"
    )


def test_a_reset_is_none_of_the_endings_in_order() -> None:
    with ScriptedServer() as server:
        server.says([reset])
        with pytest.raises(ConnectionResetError):
            ask(server)


def test_whoever_leaves_is_noticed() -> None:
    with ScriptedServer() as server:
        server.says([b"x", hold], [endless(b"y" * 1000)])
        for _ in range(2):
            server.client_left.clear()
            with connect(server) as sock:
                sock.sendall(REQUEST)
                assert sock.recv(1) in b"x3"
            assert server.sees_client_leave()


def test_nothing_is_endless_for_ever() -> None:
    with ScriptedServer() as server:
        server.says([endless(b"y" * 1000, most=5_000)])
        assert ask(server).count(b"y") == 5_000


def test_the_server_waits_for_the_test_but_not_for_ever() -> None:
    told, never = threading.Event(), threading.Event()
    order: list[str] = []

    def note(peer: Peer) -> None:
        order.append("server")

    with ScriptedServer(patience=0.05) as server:
        server.says([await_event(told), note, LAST_CHUNK, await_event(never), cut])
        with connect(server) as sock:
            order.append("test")
            told.set()
            sock.sendall(REQUEST)
            assert sock.recv(10) == LAST_CHUNK
            assert sock.recv(1) == b""
        assert not server.sees_client_leave()
    assert order == ["test", "server"]
