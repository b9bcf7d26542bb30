"""Run under a layer in the kernel: tries to get out in every way, and says what became of it."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from andon.privacy import kernel_calls
from andon.privacy.kernel import is_enforced

FAR = ("192.0.2.1", 443)
MSG_FASTOPEN = 0x20000000
#: What a layer in the kernel says. A network that nobody answers in says something else.
HELD = {errno.EACCES, errno.ENOSYS, errno.ENETUNREACH}


def outcome(way: Callable[[], Any]) -> str:
    try:
        way()
    except OSError as error:
        # A name that nobody answers for has numbers of its own.
        held = error.errno in HELD or isinstance(error, socket.gaierror)
        return "no" if held else f"{type(error).__name__}: {error}"
    return "yes"


def by_python(address: tuple[str, int]) -> None:
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.connect(address)


def by_native(address: tuple[str, int]) -> None:
    raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H", address[1])
    with socket.socket() as sock:
        if code := kernel_calls.connect(
            sock.fileno(), raw + socket.inet_aton(address[0]) + bytes(8)
        ):
            raise OSError(code, "native")


def by_asyncio(address: tuple[str, int]) -> None:
    async def connect() -> None:
        _, writer = await asyncio.open_connection(*address)
        writer.close()

    asyncio.run(connect())


def judge(done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        held = b"Permission denied" in done.stderr or b"unreachable" in done.stderr
        raise OSError(errno.EACCES if held else errno.EIO, done.stderr.decode())


def by_child(address: tuple[str, int]) -> None:
    code = f"import socket; socket.create_connection({address!r}, 5)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    judge(done)


def by_shell(address: tuple[str, int]) -> None:
    host, port = address
    done = subprocess.run(
        ["bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}"], capture_output=True, check=False
    )
    judge(done)


def by_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.settimeout(5)
        sock.connect(("2001:db8::1", 443))


def by_mapped() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.settimeout(5)
        sock.connect(("::ffff:192.0.2.1", 443))


def by_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"secret", FAR)


def by_name() -> None:
    socket.getaddrinfo("example.com", 443)


def by_fast_open() -> None:
    with socket.socket() as sock:
        sock.sendto(b"secret", MSG_FASTOPEN, FAR)


def by_fast_open_message() -> None:
    with socket.socket() as sock:
        sock.sendmsg([b"secret"], [], MSG_FASTOPEN, FAR)


def by_raw_packet() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def by_frame() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        if not names:
            raise PermissionError(errno.ENETUNREACH, "there is no interface")
        sock.bind((names[0], 0))


def by_other_protocol() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()


def by_io_uring() -> None:
    kernel_calls.call(425, 4, bytes(120))


def by_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("\0andon-nobody")


FAR_WAYS: dict[str, Callable[[], Any]] = {
    "python": lambda: by_python(FAR),
    "native": lambda: by_native(FAR),
    "asyncio": lambda: by_asyncio(FAR),
    "child": lambda: by_child(FAR),
    "shell": lambda: by_shell(FAR),
    "ipv6": by_ipv6,
    "mapped": by_mapped,
    "datagram": by_datagram,
    "name": by_name,
    "fast open": by_fast_open,
    "fast open message": by_fast_open_message,
    "raw packet": by_raw_packet,
    "frame": by_frame,
    "sctp": by_other_protocol,
    "io_uring": by_io_uring,
    "abstract": by_abstract_socket,
}


def uvloop_outcomes(port: int) -> dict[str, str]:
    import uvloop

    async def connect(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()

    return {
        "far": outcome(lambda: uvloop.run(connect(*FAR))),
        "near": outcome(lambda: uvloop.run(connect("127.0.0.1", port))),
    }


def own_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        by_native(listening.getsockname())


def main(port: str, more: str = "") -> None:
    near = ("127.0.0.1", int(port))
    found: dict[str, Any] = {"enforced": is_enforced()}
    if more.startswith("/"):

        def connect() -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(more)

        found["unix"] = outcome(connect)
    elif more == "uvloop":
        found["uvloop"] = uvloop_outcomes(near[1])
    else:
        found["far"] = {name: outcome(way) for name, way in FAR_WAYS.items()}
        ways = {"python": by_python, "native": by_native, "asyncio": by_asyncio, "child": by_child}
        found["near"] = {name: outcome(lambda way=way: way(near)) for name, way in ways.items()}  # type: ignore[misc]
        found["own"] = outcome(own_server)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
