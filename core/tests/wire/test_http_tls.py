"""Whom a connection trusts: names, numbers and certificates, on every transport."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from andon.errors import TransportError
from andon.testing.server import ScriptedServer, respond
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.http_async import AsyncHTTPConnection
from andon.wire.http_tls import ssl_context
from andon.wire.waits import Timeouts

WAITS = Timeouts(connect=10, first_byte=20)
Fetch = Callable[[str, str | None], bytes]


def threads(url: str, ca_file: str | None) -> bytes:
    connection = HTTPConnection(ConnectionSettings(ca_file=ca_file))
    try:
        bodies = set()
        for _ in range(2):
            with connection.send("POST", url, {}, b"{}", WAITS) as reply:
                bodies.add(reply.read())
        return bodies.pop()
    finally:
        connection.close()


def tasks(url: str, ca_file: str | None) -> bytes:
    async def run() -> bytes:
        connection = AsyncHTTPConnection(ConnectionSettings(ca_file=ca_file))
        try:
            bodies = set()
            for _ in range(2):
                async with await connection.send("POST", url, {}, b"{}", WAITS) as reply:
                    bodies.add(await reply.aread())
            return bodies.pop()
        finally:
            await connection.aclose()

    return asyncio.run(run())


@pytest.fixture(params=[threads, tasks], ids=["threads", "asyncio"])
def fetch(request: pytest.FixtureRequest) -> Fetch:
    return request.param


class Certificate:
    """A certificate for one name or number, and its key."""

    def __init__(self, folder: Path, names: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("makes its certificates with openssl")
        self.file, self.key = str(folder / "ca.pem"), str(folder / "key.pem")
        what = f"-subj /CN=test -addext subjectAltName={names} -days 2"
        command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {self.key} -out {self.file}"
        subprocess.run([*command.split(), *what.split()], check=True, capture_output=True)

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


@pytest.fixture(scope="module")
def for_name(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("name"), "DNS:localhost")


@pytest.fixture(scope="module")
def for_number(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("number"), "IP:127.0.0.1,IP:::1")


def serve(certificate: Certificate) -> ScriptedServer:
    return ScriptedServer(lambda request: [respond(200, b"fine")], tls=certificate.context())


def test_a_name_is_checked(fetch: Fetch, for_name: Certificate, for_number: Certificate) -> None:
    with serve(for_name) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert fetch(url, for_name.file) == b"fine"
        assert server.connections == 1
        # The certificate is trusted, and is for somebody else.
        with pytest.raises(TransportError, match=r"(?i)certificate"):
            fetch(server.url, for_name.file)
        # It is for the right name, and nobody vouches for it.
        for ca_file in (None, for_number.file):
            with pytest.raises(TransportError, match=r"(?i)certificate"):
                fetch(url, ca_file)
        assert len(server.requests) == 2


def test_a_number_is_checked_and_not_sent_as_a_name(fetch: Fetch, for_number: Certificate) -> None:
    asked: list[object] = []
    with serve(for_number) as server:
        assert server.tls is not None
        server.tls.sni_callback = lambda sock, name, context: asked.append(name)
        assert fetch(server.url, for_number.file) == b"fine"
        with pytest.raises(TransportError, match=r"(?i)certificate"):
            fetch(server.url.replace("127.0.0.1", "localhost"), for_number.file)
    # RFC 6066, 3: a number is no server name.
    assert asked == [None, "localhost"]


def test_it_offers_http_1_only(fetch: Fetch, for_number: Certificate) -> None:
    with serve(for_number) as server:
        assert server.tls is not None
        chosen: list[object] = []
        server.tls.set_alpn_protocols(["h2", "http/1.1"])
        server.otherwise = lambda request: [
            lambda peer: chosen.append(peer.sock.selected_alpn_protocol()),  # type: ignore[attr-defined]
            respond(200, b"fine"),
        ]
        assert fetch(server.url, for_number.file) == b"fine"
    assert set(chosen) == {"http/1.1"}


def test_the_environment_has_no_say(
    fetch: Fetch, for_number: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSL_CERT_FILE", for_number.file)
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    ssl_context.cache_clear()
    try:
        with serve(for_number) as server:
            with pytest.raises(TransportError, match=r"(?i)certificate"):
                fetch(server.url, None)
            assert fetch(server.url, for_number.file) == b"fine"
    finally:
        ssl_context.cache_clear()
    assert not keys.exists()


def test_nothing_older_than_tls_1_2() -> None:
    context = ssl_context(None)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED


def test_plain_text_where_tls_was_expected(fetch: Fetch, for_number: Certificate) -> None:
    with (
        ScriptedServer(lambda request: [respond(200, b"plain")]) as server,
        pytest.raises(TransportError, match="no connection"),
    ):
        fetch(server.url.replace("http:", "https:"), for_number.file)
    with serve(for_number) as server, pytest.raises(TransportError):
        fetch(server.url.replace("https:", "http:"), for_number.file)


def test_the_sixth_version(fetch: Fetch, for_number: Certificate) -> None:
    heads: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, for_number.context().wrap_socket(peer, server_side=True) as secure:
            while head := secure.recv(65536):
                heads.append(head)
                secure.sendall(respond(200, b"fine"))

    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("has no IPv6")
    with listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(answer, listener)
        port = listener.getsockname()[1]
        assert fetch(f"https://[::1]:{port}/", for_number.file) == b"fine"
        served.result(10)
    assert len(heads) == 2 and all(b"host: [::1]:%d\r\n" % port in head for head in heads)
