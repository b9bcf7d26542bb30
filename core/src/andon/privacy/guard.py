"""The guard over the whole process: what every Python library in it may connect to.

It listens to Python's audit events, which the interpreter raises before it resolves a name, opens
a connection or starts a program, whoever asks. What it cannot see is native code that opens sockets
by itself, and the question for a name that a bare socket is told to connect to, though not the
connection; for these there is a layer in the kernel (:mod:`andon.privacy.kernel`).
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from andon.errors import EgressBlocked, PrivacyViolation
from andon.privacy.egress import EgressPolicy
from andon.privacy.kernel import is_enforced

_FAMILIES = {
    family
    for name in ("AF_UNIX", "AF_INET", "AF_INET6")
    if (family := getattr(socket, name, None)) is not None
}
_KINDS = {socket.SOCK_STREAM, socket.SOCK_DGRAM}
#: Flags that some systems pass along with the kind of a socket.
_KIND_MASK = 0xF

_lock = threading.Lock()
_armed: dict[object, EgressPolicy] = {}
_installed = False

#: The programs that andon starts by itself. One renders templates and opens nothing, the other
#: connects what it is asked to, to what this policy allows.
_OWN_PROGRAMS = {
    str(Path(__file__).parent.parent / "templates" / "sandbox_worker.py"),
    str(Path(__file__).with_name("kernel_helper.py")),
}


class GuardLease:
    """Keeps the guard armed until it is released. Of several, each one's policy must allow."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._key = object()
        with _lock:
            _armed[self._key] = policy

    def release(self) -> None:
        """Let the guard go; it stays armed while others hold it."""
        with _lock:
            _armed.pop(self._key, None)


def arm(policy: EgressPolicy | None = None) -> GuardLease:
    """Arm the guard for this process, its threads and tasks, and every library in it.

    :param policy: what may be reached; this machine only where None.
    :raises PrivacyViolation: uvloop is loaded, whose connections the guard would not see.
    """
    global _installed  # noqa: PLW0603  a hook belongs to the process, and cannot be taken off
    if "uvloop" in sys.modules and not is_enforced():
        raise PrivacyViolation(_UVLOOP)
    with _lock:
        if not _installed:
            sys.addaudithook(_hear)
            _installed = True
    return GuardLease(policy or EgressPolicy())


def disarm() -> None:
    """Let go of every hold on the guard, whoever has it: for the end of a test."""
    with _lock:
        _armed.clear()


def is_armed() -> bool:
    """Return whether the guard is armed."""
    return bool(_armed)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _armed:
        return
    check = _CHECKS.get(event)
    if check is None:
        return
    for policy in list(_armed.values()):
        try:
            check(policy, arguments)
        except PrivacyViolation as error:
            raise EgressBlocked(
                f"the privacy guard stopped {event}: {error}; list what is yours in "
                "[network] of the settings"
            ) from None


def _check_socket(_: EgressPolicy, arguments: Sequence[Any]) -> None:
    _, family, kind, *_rest = arguments
    # -1 takes over a socket that is there already.
    if family not in (*_FAMILIES, -1) or (kind != -1 and kind & _KIND_MASK not in _KINDS):
        raise PrivacyViolation(f"sockets of the family {family!r} and kind {kind!r}")


def _check_connect(policy: EgressPolicy, arguments: Sequence[Any]) -> None:
    connecting, address = arguments[0], arguments[1]
    if connecting.family == getattr(socket, "AF_UNIX", None):
        path = address.decode() if isinstance(address, bytes) else str(address)
        if path not in policy.sockets:
            raise PrivacyViolation(f"the unix socket {path!r} is not listed")
        return
    if not isinstance(address, tuple):
        # A datagram socket that is connected already was checked then.
        return
    host = str(address[0])
    if host.lower() == "localhost":
        return
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        # The system would look the name up by itself, after this.
        raise PrivacyViolation(f"{host!r} is a name; it has to be resolved first") from None
    policy.check_address(host)


def _check_name(policy: EgressPolicy, arguments: Sequence[Any]) -> None:
    host = arguments[0]
    if host in (None, "", b""):
        return
    policy.check_host(host.decode("ascii", "replace") if isinstance(host, bytes) else str(host))


def _check_program(_: EgressPolicy, arguments: Sequence[Any]) -> None:
    command = arguments[1] if len(arguments) > 1 else ()
    own = isinstance(command, list) and len(command) > 2 and command[2] in _OWN_PROGRAMS
    # Isolated, so that nothing in the environment is imported into it.
    if not (own and [arguments[0], *command[:2]] == [sys.executable, sys.executable, "-I"]):
        raise PrivacyViolation(f"the program {arguments[0]!r}, which could send what it likes")


def _check_reverse(policy: EgressPolicy, arguments: Sequence[Any]) -> None:
    """The name of an address is asked for where the address is."""
    address = arguments[0]
    if isinstance(address, tuple) and address:
        policy.check_address(str(address[0]).partition("%")[0])


def _check_import(_: EgressPolicy, arguments: Sequence[Any]) -> None:
    name = arguments[0]
    if name == "uvloop" and not is_enforced():
        raise PrivacyViolation(_UVLOOP)
    if name in _NEW_INTERPRETERS and not is_enforced():
        raise PrivacyViolation(
            "a new interpreter, in which there is no guard; let multiprocessing fork, or use a "
            "layer in the kernel: andon sovereign -- COMMAND"
        )


#: What multiprocessing starts interpreters with, without telling Python.
_NEW_INTERPRETERS = {"multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver"}

_UVLOOP = (
    "uvloop connects without telling Python; use asyncio's own event loop, or a layer in the "
    "kernel: andon sovereign -- COMMAND"
)

_CHECKS: Mapping[str, Callable[[EgressPolicy, tuple[Any, ...]], None]] = {
    "socket.__new__": _check_socket,
    "socket.connect": _check_connect,
    "socket.sendto": _check_connect,
    "socket.sendmsg": _check_connect,
    "socket.getaddrinfo": _check_name,
    "socket.gethostbyname": _check_name,
    "socket.gethostbyaddr": _check_name,
    "socket.getnameinfo": _check_reverse,
    "subprocess.Popen": _check_program,
    "os.system": _check_program,
    "os.exec": _check_program,
    "os.posix_spawn": _check_program,
    "os.spawn": _check_program,
    "pty.spawn": _check_program,
    "import": _check_import,
}
