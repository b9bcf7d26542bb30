"""What a user's own code and its libraries do, and what a sovereign client in its process stops."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import andon
from andon import Locality, hookimpl
from andon.specs import BackendContext, BackendSpec
from andon.testing import ScriptedBackend

#: A documentation address, which answers nobody.
FAR = "192.0.2.1"

SECRET = "the launch code is 7"


def stopped(way: Callable[[], Any]) -> None:
    """Try a way out with a sovereign client open."""
    with (
        andon.Client(discover=False, privacy="sovereign"),
        pytest.raises(Exception, match="the privacy guard stopped"),
    ):
        way()


def alone(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


LIBRARIES = {
    "aiohttp": "import aiohttp, asyncio\nasync def get():\n async with aiohttp.ClientSession() as s:"
    "\n  await s.get('http://' + FAR)\nasyncio.run(get())",
    "httpx": "import httpx; httpx.get('http://' + FAR)",
    "httpx2": "import httpx2; httpx2.get('http://' + FAR)",
    "requests": "import requests; requests.get('http://' + FAR)",
    "urllib3": "import urllib3; urllib3.request('GET', 'http://' + FAR, retries=False)",
    "urllib": "import urllib.request; urllib.request.urlopen('http://' + FAR)",
    "ftplib": "import ftplib; ftplib.FTP(FAR)",
    "smtplib": "import smtplib; smtplib.SMTP(FAR)",
    "socket": "import socket; socket.create_connection((FAR, 443))",
    "_socket": "import _socket; _socket.socket().connect((FAR, 443))",
    "ssl": "import ssl; ssl.get_server_certificate((FAR, 443))",
    "xmlrpc": "import xmlrpc.client as x; x.ServerProxy('http://' + FAR).a()",
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_users_own_code(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    code = "import andon; client = andon.Client(discover=False, privacy='sovereign')\n"
    done = alone(f"{code}FAR = {FAR!r}\n{LIBRARIES[library]}")
    assert done.returncode and "the privacy guard stopped socket" in done.stderr, done.stderr


def _datagram(flags: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        if flags == "sendto":
            sock.sendto(SECRET.encode(), (FAR, 53))
        elif flags == "sendmsg":
            sock.sendmsg([SECRET.encode()], [], 0, (FAR, 53))
        else:
            sock.connect((FAR, 53))


@pytest.mark.parametrize("how", ["sendto", "sendmsg", "connect"])
def test_datagrams(how: str) -> None:
    stopped(lambda: _datagram(how))


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "3221225985",
     "0300.0.02.01", "0xc0000201", "192.0.513", "127.0.0.1.nip.io", "localhost.example.com",
     "fe80::1", "::", "0.0.0.0", "169.254.169.254"],
)  # fmt: skip
def test_hosts_in_disguise(host: str) -> None:
    stopped(lambda: socket.getaddrinfo(host, 80))
    stopped(lambda: socket.create_connection((host, 80), 2))


@pytest.mark.parametrize(
    "path", ["/run/docker.sock", "\0abstract", "/var/run/dbus/system_bus_socket"]
)
def test_unix_sockets(path: str) -> None:
    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)

    stopped(connect)


def test_a_tokenizer_that_is_not_there_is_not_fetched(tmp_path: Path) -> None:
    for plugin in ("andon_tiktoken", "andon_openai"):
        if importlib.util.find_spec(plugin) is None:
            pytest.skip(f"{plugin} is not installed")
    code = (
        "import andon, sys\n"
        "from andon.context import ContextManager\n"
        "client = andon.Client(privacy='sovereign')\n"
        "try:\n"
        "    print(ContextManager.for_model('gpt-4-turbo').count('hello').exactness)\n"
        "except andon.AndonError as error:\n"
        "    print('refused:', error)\n"
    )
    cache = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    done = alone(code, TIKTOKEN_CACHE_DIR=str(tmp_path), **cache)
    assert done.returncode == 0, done.stderr
    assert "exact\n" not in done.stdout
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_a_backend_cannot_reach_past_what_its_context_says() -> None:
    """The policy goes to every backend, whoever wrote it."""
    found: list[BackendContext] = []

    def create(context: BackendContext) -> Any:
        found.append(context)
        return ScriptedBackend()

    plugin = ModuleType("one")
    spec = BackendSpec(name="one", create=create, locality=Locality.LOCAL)
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    for tier, offline, no_relay in [
        ("sovereign", True, True), ("private", False, True), ("standard", False, False)
    ]:  # fmt: skip
        with andon.Client(discover=False, plugins=[plugin], privacy=tier) as client:
            client.chat("one:m", "hi")
        assert (found[-1].offline, found[-1].no_relay) == (offline, no_relay)
