"""Canaries: attempts to get out that must fail, to show that what is on does hold.

They go to 192.0.2.1, which is nobody's (TEST-NET-1, RFC 5737), and carry no data.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping

from andon.errors import EgressBlocked
from andon.privacy import kernel_calls
from andon.privacy.egress import EgressPolicy
from andon.privacy.guard import arm
from andon.privacy.kernel import Protection

#: An address that answers nobody, and a port at which nobody listens.
NOWHERE = ("192.0.2.1", 9)


def _connect() -> None:
    with socket.socket() as far:
        far.settimeout(1)
        far.connect(NOWHERE)


def _send() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as far:
        far.sendto(b"", NOWHERE)


def _look_up() -> None:
    socket.getaddrinfo("canary.invalid", 9)


def _start() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=False)


_WAYS: Mapping[str, Callable[[], None]] = {
    "connection": _connect,
    "datagram": _send,
    "look-up of a name": _look_up,
    "program": _start,
}


def check_guard(policy: EgressPolicy | None = None) -> tuple[Protection, ...]:
    """Arm the guard for a moment, and try every way out that Python has.

    :param policy: what the operator lists; nothing where None.
    :return: for each way whether the guard stopped it.
    """
    lease = arm(policy)
    try:
        return tuple(_tried(f"guard: {name}", way) for name, way in _WAYS.items())
    finally:
        lease.release()


def check_kernel() -> tuple[Protection, ...]:
    """Try, from this process, what no library of Python's sees; true layers in the kernel stop it.

    :return: for each way whether the kernel stopped it.
    """
    return (
        Protection("kernel: native connection", *_native()),
        Protection("kernel: datagram", *_outcome(_send)),
    )


def _tried(name: str, way: Callable[[], None]) -> Protection:
    try:
        way()
    except EgressBlocked:
        return Protection(name, True, "stopped")
    except OSError as error:
        # A layer in the kernel may come first.
        held, reason = _judged(error.errno)
        return Protection(name, held, f"before it came to the guard: {reason}")
    return Protection(name, False, "it was not stopped")


def _native() -> tuple[bool, str]:
    """Connect past Python, as native code does."""
    host, port = NOWHERE
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port)
    address += socket.inet_aton(host) + bytes(8)
    try:
        with socket.socket() as far:
            # It need not wait for what becomes of it.
            far.setblocking(False)
            code = kernel_calls.connect(far.fileno(), address)
    except OSError as error:
        return _judged(error.errno)
    return _judged(code)


def _outcome(way: Callable[[], None]) -> tuple[bool, str]:
    try:
        way()
    except OSError as error:
        return _judged(error.errno)
    return _judged(0)


def _judged(code: int | None) -> tuple[bool, str]:
    import errno

    stopped = code in {errno.EACCES, errno.EPERM, errno.ENETUNREACH, errno.EAFNOSUPPORT}
    what = "it went out" if not code else os.strerror(code)
    return stopped, f"stopped: {what}" if stopped else f"not stopped: {what}"
