"""Which sockets a process may open: a filter on system calls that no code in it can pass.

The filter sees numbers and not what a pointer points to, so the address of a connection is beyond
it. :mod:`andon.privacy.kernel_supervisor` reads that in its place.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from andon.privacy import kernel_calls
from andon.privacy.kernel_calls import Numbers

#: The error of a call that the filter stops; the one that permissions have everywhere.
DENIED = errno.EACCES

# What a filter returns (include/uapi/linux/seccomp.h), and its instructions (linux/filter.h).
_ALLOW, _ERROR, _NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
#: Where the number of the call, the processor and the arguments lie in what a filter sees.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

_SET_MODE_FILTER = 1
_ALL_THREADS, _NEW_LISTENER, _SAY_WHICH_THREAD, _UNDISTURBED = 1, 8, 16, 32

_KIND_MASK = 0xF
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET = int(socket.SOCK_STREAM), int(socket.SOCK_SEQPACKET)
_TCP = 6
#: Connects while it sends (TCP Fast Open), behind the back of a filter on connect.
_MSG_FASTOPEN = 0x20000000


class Sockets(Enum):
    """Which sockets there are.

    All three leave unix sockets and questions to the kernel itself, and no datagrams, raw packets
    or io_uring, which would open sockets of its own.
    """

    #: TCP, each connection decided by a supervisor; unix sockets likewise.
    SUPERVISED = "supervised"
    #: TCP, wherever to.
    STREAMS = "streams"
    #: None to the network.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction; labels name the instruction to go on with, None the next one."""

    code: int
    value: int
    yes: str | None = None
    no: str | None = None
    label: str | None = None


def program(numbers: Numbers, sockets: Sockets) -> bytes:
    """Return the filter as the kernel reads it.

    :param numbers: the numbers of the calls.
    :param sockets: which sockets there shall be.
    """
    return _assembled([*_by_call(numbers), *_by_socket(sockets), *_verdicts(sockets)])


def install(sockets: Sockets) -> int | None:
    """Put the filter over this process, all of its threads, and all that it will start; for good.

    :param sockets: which sockets there shall be from now on; those that are open stay open.
    :return: the descriptor at which a supervisor is asked, where it is to be.
    :raises OSError: the kernel does not have or allow that.
    """
    known = kernel_calls.numbers()
    code = program(known, sockets)
    kernel_calls.give_up_rights()
    held = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    if sockets is Sockets.SUPERVISED:
        return _listen(known, header)
    if found := kernel_calls.call(known.seccomp, _SET_MODE_FILTER, _ALL_THREADS, header):
        raise OSError(f"thread {found} has a filter of its own, which cannot be joined")
    return None


def _listen(numbers: Numbers, header: bytes) -> int:
    """Put a filter over the process; return the descriptor at which its supervisor is asked."""
    flags = _ALL_THREADS | _NEW_LISTENER | _SAY_WHICH_THREAD
    try:
        # Else a signal could have a connection asked for twice, and the second time it is there.
        return kernel_calls.call(numbers.seccomp, _SET_MODE_FILTER, flags | _UNDISTURBED, header)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # Before Linux 5.19.
    return kernel_calls.call(numbers.seccomp, _SET_MODE_FILTER, flags, header)


def _by_call(numbers: Numbers) -> Iterator[_Step]:
    yield _Step(_LOAD, _ARCH)
    # Another processor's calls (32 bits on the same machine) have other numbers.
    yield _Step(_EQUAL, numbers.arch, None, "deny")
    yield _Step(_LOAD, _NUMBER)
    if numbers.foreign is not None:
        yield _Step(_AT_LEAST, numbers.foreign, "absent")
    for number in numbers.io_uring:
        yield _Step(_EQUAL, number, "absent")
    for name in ("socket", "socketpair", "connect", "sendto", "sendmsg", "sendmmsg"):
        yield _Step(_EQUAL, getattr(numbers, name), name)
    yield _Step(_RETURN, _ALLOW)


def _by_socket(sockets: Sockets) -> Iterator[_Step]:
    yield _argument(0, "socket")
    yield _Step(_EQUAL, _UNIX, "unix")
    yield _Step(_EQUAL, _NETLINK, "netlink")
    if sockets is not Sockets.NONE:
        yield _Step(_EQUAL, _INET, "inet")
        yield _Step(_EQUAL, _INET6, "inet")
    yield _Step(_RETURN, _ERROR | DENIED)
    yield _argument(1, "inet")
    yield _Step(_AND, _KIND_MASK)
    yield _Step(_EQUAL, _STREAM, None, "deny")
    yield _argument(2)
    yield _Step(_EQUAL, 0, "allow")
    yield _Step(_EQUAL, _TCP, "allow", "deny")
    # To ask the kernel for its addresses and routes, as every resolver does.
    yield _argument(2, "netlink")
    yield _Step(_EQUAL, 0, "allow", "deny")
    yield _argument(0, "socketpair")
    yield _Step(_EQUAL, _UNIX, "unix", "deny")
    # Not datagrams: each may name another receiver.
    yield _argument(1, "unix")
    yield _Step(_AND, _KIND_MASK)
    yield _Step(_EQUAL, _STREAM, "allow")
    yield _Step(_EQUAL, _SEQPACKET, "allow", "deny")
    for name, argument in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        yield _argument(argument, name)
        yield _Step(_ANY_BIT, _MSG_FASTOPEN, "deny", "allow")


def _verdicts(sockets: Sockets) -> Iterator[_Step]:
    asked = _NOTIFY if sockets is Sockets.SUPERVISED else _ALLOW
    yield _Step(_RETURN, asked, label="connect")
    yield _Step(_RETURN, _ALLOW, label="allow")
    # As on a kernel that has none: programs know what to do without.
    yield _Step(_RETURN, _ERROR | errno.ENOSYS, label="absent")
    yield _Step(_RETURN, _ERROR | DENIED, label="deny")


def _argument(index: int, label: str | None = None) -> _Step:
    """Load the lower half of an argument; all that count here are 32 bits wide."""
    return _Step(_LOAD, _ARGUMENTS + 8 * index, label=label)


def _assembled(steps: Sequence[_Step]) -> bytes:
    places = {step.label: index for index, step in enumerate(steps) if step.label is not None}

    def leap(index: int, label: str | None) -> int:
        return 0 if label is None else places[label] - index - 1

    return b"".join(
        struct.pack("HBBI", step.code, leap(index, step.yes), leap(index, step.no), step.value)
        for index, step in enumerate(steps)
    )
