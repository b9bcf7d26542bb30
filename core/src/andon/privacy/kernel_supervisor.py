"""Decides, from outside a process, whom it may connect to: every address, for every library in it.

The kernel stops a process in ``connect`` and asks here. The supervisor copies the address out of
the process, checks the copy, fetches the socket, and connects it to that copy itself. The process
never gets to connect anything, so that it cannot exchange the address after the check. If the
supervisor is gone, nothing can be connected any more.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from andon.errors import PrivacyViolation
from andon.privacy import kernel_calls
from andon.privacy.egress import EgressPolicy
from andon.privacy.kernel_seccomp import DENIED

#: Told of each connection that was refused, in words.
Tell = Callable[[str], None]

# The questions and answers (include/uapi/linux/seccomp.h).
_RECEIVE, _ANSWER, _STILL_ASKED = 0xC0502100, 0xC0182101, 0x40082102
_QUESTION_SIZE = 80
#: Its id, the thread's number, flags; the call's number, processor and place; its arguments.
_QUESTION = struct.Struct("QIIiIQ6Q")
_REPLY = struct.Struct("QqiI")

#: Every program on Linux asks there first when it looks a name up, and goes on without.
_NAME_SERVICE = "/run/nscd/socket"

#: The longest address that the kernel takes (struct sockaddr_storage).
_MAX_ADDRESS = 128


class Supervisor:
    """Answers the questions of one filter.

    :param listener: where they are asked; closed at the end.
    :param policy: whom one may connect to.
    :param ports: the only TCP ports to connect to; all where empty.
    :param tell: told of each refusal.
    """

    def __init__(
        self,
        listener: int,
        policy: EgressPolicy,
        ports: Sequence[int] = (),
        tell: Tell = lambda text: None,
    ) -> None:
        self._listener = listener
        self._policy = policy
        self._ports = ports
        self._tell = tell

    def run(self) -> None:
        """Answer until no process is left under the filter."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while True:
                [(_, event)] = poll.poll()
                if not event & select.POLLIN:
                    return
                question = self._receive()
                if question is not None:
                    # A connection may take its time; nobody else shall wait for it.
                    threading.Thread(target=self._answer, args=question, daemon=True).start()
        finally:
            os.close(self._listener)

    def _receive(self) -> tuple[int, int, int, int, int] | None:
        import fcntl

        buffer = bytearray(_QUESTION_SIZE)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer, True)
        except OSError as error:
            # The process was interrupted before the question was taken.
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return None
            raise
        number, thread, _, _, _, _, descriptor, place, length, *_ = _QUESTION.unpack(buffer)
        return number, thread, descriptor & 0xFFFFFFFF, place, length & 0xFFFFFFFF

    def _answer(self, number: int, thread: int, descriptor: int, place: int, length: int) -> None:
        import fcntl

        try:
            code = self._connect(number, thread, descriptor, place, length)
        except PrivacyViolation as error:
            if _NAME_SERVICE not in str(error):
                self._tell(str(error))
            code = DENIED
        except OSError as error:
            # Above all: nobody may look into the process. It gets no connection then.
            self._tell(f"a connection that cannot be looked at: {error}")
            code = DENIED
        with suppress(OSError):
            fcntl.ioctl(self._listener, _ANSWER, _REPLY.pack(number, 0, -code, 0))

    def _connect(self, number: int, thread: int, descriptor: int, place: int, length: int) -> int:
        import fcntl

        if not 2 <= length <= _MAX_ADDRESS:
            return errno.EINVAL
        address = _read_memory(thread, place, length)
        taken = _take_socket(thread, descriptor)
        try:
            # Else the thread's number may be somebody else's by now.
            fcntl.ioctl(self._listener, _STILL_ASKED, struct.pack("Q", number))
            check_raw_address(self._policy, address, self._ports)
            return kernel_calls.connect(taken, address)
        finally:
            os.close(taken)


def check_raw_address(policy: EgressPolicy, address: bytes, ports: Sequence[int] = ()) -> None:
    """Check an address as the kernel reads it.

    :param policy: whom one may connect to.
    :param address: its bytes (struct sockaddr).
    :param ports: the only TCP ports to connect to; all where empty.
    :raises PrivacyViolation: it is too far, or of a kind that nobody knows.
    """
    [family] = struct.unpack("=H", address[:2])
    if family in {socket.AF_INET, socket.AF_INET6} and len(address) >= 4 and ports:
        [port] = struct.unpack("!H", address[2:4])
        if port not in ports:
            raise PrivacyViolation(f"port {port} is not one of {', '.join(map(str, ports))}")
    if family == socket.AF_INET and len(address) >= 8:
        policy.check_address(socket.inet_ntop(socket.AF_INET, address[4:8]))
    elif family == socket.AF_INET6 and len(address) >= 24:
        policy.check_address(socket.inet_ntop(socket.AF_INET6, address[8:24]))
    elif family == socket.AF_UNIX:
        path = address[2:].split(b"\0")[0] if address[2:3] != b"\0" else address[2:]
        if os.fsdecode(path) not in policy.sockets:
            raise PrivacyViolation(f"the unix socket {os.fsdecode(path)!r} is not listed")
    elif family != socket.AF_UNSPEC:  # that ends a connection
        raise PrivacyViolation(f"a connection of the family {family}")


def _read_memory(thread: int, place: int, length: int) -> bytes:
    memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, length, place)
    finally:
        os.close(memory)


def _take_socket(thread: int, descriptor: int) -> int:
    """Return a descriptor of our own for a socket of the process."""
    numbers = kernel_calls.numbers()
    process = kernel_calls.call(numbers.pidfd_open, _process_of(thread), 0)
    try:
        return kernel_calls.call(numbers.pidfd_getfd, process, descriptor, 0)
    finally:
        os.close(process)


def _process_of(thread: int) -> int:
    for line in Path(f"/proc/{thread}/status").read_text("utf-8", "replace").splitlines():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"thread {thread} is gone")
