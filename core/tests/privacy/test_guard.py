"""The guard stops every Python library in the process, and only what leaves this machine."""

from __future__ import annotations

import asyncio
import gc
import http.client
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from andon import (
    ChatMessage,
    ChatTemplateEngine,
    Client,
    EgressBlocked,
    PrivacyTier,
    PrivacyViolation,
    Settings,
)
from andon.privacy.egress import EgressPolicy
from andon.privacy.guard import arm, is_armed
from andon.settings import NetworkSettings

#: A documentation address, which answers nobody.
FAR = "192.0.2.1"


@pytest.fixture
def armed() -> Iterator[None]:
    lease = arm()
    yield
    lease.release()
    assert not is_armed()


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def by_socket() -> None:
    with socket.socket() as raw:
        raw.connect((FAR, 443))


def by_name() -> None:
    socket.getaddrinfo("example.com", 443)


def by_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as raw:
        raw.sendto(b"secret", (FAR, 53))


def by_urllib() -> None:
    urllib.request.urlopen("http://example.com/", timeout=1)


def by_http_client() -> None:
    http.client.HTTPConnection(FAR, timeout=1).request("GET", "/")


def by_asyncio() -> None:
    asyncio.run(asyncio.open_connection(FAR, 443))  # type: ignore[arg-type]


def by_program() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def by_shell() -> None:
    os.system("true")


def by_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect("/run/docker.sock")


def by_reverse_name() -> None:
    socket.getnameinfo((FAR, 80), 0)


def by_new_interpreter() -> None:
    sys.modules.pop("multiprocessing.popen_spawn_posix", None)
    multiprocessing.get_context("spawn").Process(target=print).start()


def by_packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


WAYS = [
    by_socket, by_name, by_datagram, by_urllib, by_http_client,
    by_asyncio, by_program, by_shell, by_unix_socket, by_packet_socket, by_reverse_name,
    by_new_interpreter,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.usefixtures("armed")
def test_every_way_out_is_shut(way: Callable[[], None]) -> None:
    # Libraries may wrap it, like any other failure to connect.
    with pytest.raises((EgressBlocked, urllib.error.URLError), match="the privacy guard stopped"):
        way()


@pytest.mark.usefixtures("armed")
def test_other_threads_are_guarded_as_well() -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            by_socket()
        except PrivacyViolation as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(errors) == 1


@pytest.mark.usefixtures("armed")
def test_this_machine_stays_within_reach(listener: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        socket.create_connection((host, listener), timeout=5).close()

    async def connect() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listener)
        writer.close()
        await writer.wait_closed()

    asyncio.run(connect())


def test_a_worker_that_is_forked_is_guarded() -> None:
    code = (
        "import multiprocessing\n"
        "from andon.privacy.guard import arm, is_armed\n"
        "lease = arm()\n"
        "worker = multiprocessing.get_context('fork').Process(target=lambda: print(is_armed()))\n"
        "worker.start()\n"
        "worker.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.usefixtures("armed")
def test_uvloop_is_refused() -> None:
    with pytest.raises(PrivacyViolation, match="uvloop"):
        __import__("uvloop")


@pytest.mark.usefixtures("armed")
def test_templates_are_rendered_all_the_same() -> None:
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    engine = ChatTemplateEngine.from_model("x", metadata={"chat_template": template})
    assert engine.apply([ChatMessage.user("Hello")]) == "Hello"


@pytest.mark.usefixtures("armed")
def test_a_library_that_can_do_without_goes_on() -> None:
    with pytest.raises(OSError, match="guard"):
        by_socket()


def test_a_sovereign_client_arms_the_guard_until_it_is_closed() -> None:
    with Client(discover=False, privacy="sovereign"), pytest.raises(EgressBlocked):
        by_socket()
    assert not is_armed()
    forgotten = Client(discover=False, privacy="sovereign")
    assert is_armed()
    del forgotten
    gc.collect()
    assert not is_armed()


def test_a_client_that_trusts_a_guard_in_the_kernel() -> None:
    settings = Settings(privacy=PrivacyTier.SOVEREIGN, network=NetworkSettings(guard=False))
    with Client(discover=False, settings=settings):
        assert not is_armed()


def test_of_several_policies_each_must_allow() -> None:
    wide = arm(EgressPolicy.of(["10.0.0.0/8"]))
    narrow = arm()
    with pytest.raises(PrivacyViolation), socket.socket(type=socket.SOCK_DGRAM) as raw:
        raw.sendto(b"x", ("10.0.0.1", 9))
    narrow.release()
    narrow.release()
    assert is_armed()
    wide.release()
    assert not is_armed()


def test_unarmed_it_lets_everything_pass() -> None:
    by_program()


def test_a_path_that_is_listed(tmp_path: object) -> None:
    path = f"{tmp_path}/model.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        lease = arm(EgressPolicy.of(sockets=[path]))
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
        lease.release()
