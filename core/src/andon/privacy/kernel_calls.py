"""System calls that Python does not offer, on the processors whose numbers are known here."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: prctl(2): a process, and all that it starts, can never gain rights again.
_PR_SET_NO_NEW_PRIVS = 38
#: prctl(2): who may look into this process where only parents may (the Yama module).
_PR_SET_PTRACER = 0x59616D61


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of system calls on one kind of processor.

    (Linux: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.)

    :param arch: what the kernel calls the processor (include/uapi/linux/audit.h).
    :param foreign: the first number of a second set of calls, or None where there is none.
    """

    arch: int
    foreign: int | None
    socket: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    socketpair: int
    seccomp: int
    io_uring: tuple[int, int, int] = (425, 426, 427)
    pidfd_open: int = 434
    pidfd_getfd: int = 438
    landlock_create_ruleset: int = 444
    landlock_add_rule: int = 445
    landlock_restrict_self: int = 446


#: The processors, as Python names them.
NUMBERS: Mapping[str, Numbers] = {
    "x86_64": Numbers(
        arch=0xC000003E, foreign=0x40000000, socket=41, connect=42, sendto=44, sendmsg=46,
        sendmmsg=307, socketpair=53, seccomp=317,
    ),
    "aarch64": Numbers(
        arch=0xC00000B7, foreign=None, socket=198, connect=203, sendto=206, sendmsg=211,
        sendmmsg=269, socketpair=199, seccomp=277,
    ),
}  # fmt: skip


def numbers() -> Numbers:
    """Return the numbers of this machine.

    :raises OSError: they are not known, or this is not Linux.
    """
    machine = platform.machine()
    if sys.platform != "linux" or sys.maxsize < 2**32 or machine not in NUMBERS:
        raise OSError(f"layers in the kernel are for 64-bit Linux on x86_64 and aarch64, "
                      f"not for {sys.platform} on {machine}")  # fmt: skip
    return NUMBERS[machine]


def call(number: int, *arguments: Any) -> int:
    """Make a system call.

    :param number: its number.
    :param arguments: numbers, pointers and None.
    :raises OSError: it failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    wide = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    return _checked(libc.syscall(ctypes.c_long(number), *wide))


def give_up_rights() -> None:
    """See to it that this thread can never gain rights, which filters demand; for good."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def let_look_in(process: int) -> None:
    """Let a process look into this one where that takes permission; harmless elsewhere."""
    try:
        _prctl(_PR_SET_PTRACER, process)
    except OSError:
        return  # the kernel has no such rule


def unshare(flags: int) -> None:
    """Leave the namespaces of this process for new ones.

    :raises OSError: that is not allowed.
    """
    _checked(ctypes.CDLL(None, use_errno=True).unshare(flags))


def connect(descriptor: int, address: bytes) -> int:
    """Connect a socket to a raw address; return 0 or the number of the error.

    Python's own would read the address anew, and refuse some that are well-formed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    done: int = libc.connect(descriptor, address, len(address))
    return 0 if done == 0 else ctypes.get_errno()


def thread_count() -> int:
    """Return how many threads this process has."""
    return len(list(Path("/proc/self/task").iterdir()))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
