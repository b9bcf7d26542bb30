"""A network of its own for a process, in which there is nothing but a loopback."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from andon.privacy import kernel_calls

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
# include/uapi/linux/sockios.h, if.h
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 0x1


def enter() -> None:
    """Move this process, and all that it will start, to an empty network; for good.

    It gets a user namespace as well, even where it needs none for that: else a process with all
    rights could return to the network that it came from.

    :raises OSError: the machine does not allow it, or there are other threads already.
    """
    kernel_calls.numbers()
    if kernel_calls.thread_count() > 1:
        raise OSError("a namespace holds one thread, and this process has several already")
    user, group = os.geteuid(), os.getegid()
    kernel_calls.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")
    _raise_loopback()


def is_alone() -> bool:
    """Return whether there is no network but a loopback here."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def _raise_loopback() -> None:
    import fcntl

    # A unix socket will do, and is there under every filter.
    with socket.socket(socket.AF_UNIX) as control:
        request = struct.pack("16sH22x", b"lo", 0)
        [flags] = struct.unpack("16xH22x", fcntl.ioctl(control, _GET_FLAGS, request))
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH22x", b"lo", flags | _UP))
