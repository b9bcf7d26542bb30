"""The filter, run by a small machine of our own: for every processor, and for any arguments."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.privacy.kernel_calls import NUMBERS, Numbers
from andon.privacy.kernel_seccomp import Sockets, program

ALLOWED, NOTIFIED = "allowed", "asked"
MSG_FASTOPEN = 0x20000000
WORD = st.integers(0, 2**32 - 1)


def verdict(code: bytes, number: int, arguments: list[int], arch: int) -> str | int:
    """Run a filter as the kernel does; return what becomes of a call."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, arch, 0, *padded)
    steps = [struct.unpack("=HBBI", code[at : at + 8]) for at in range(0, len(code), 8)]
    place = held = 0
    while True:
        operation, yes, no, value = steps[place]
        place += 1
        match operation:
            case 0x20:
                [held] = struct.unpack("=I", data[value : value + 4])
            case 0x54:
                held &= value
            case 0x15:
                place += yes if held == value else no
            case 0x35:
                place += yes if held >= value else no
            case 0x45:
                place += yes if held & value else no
            case 0x06:
                return {0x7FFF0000: ALLOWED, 0x7FC00000: NOTIFIED}.get(value, value & 0xFFFF)
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


@pytest.fixture(params=NUMBERS.values(), ids=NUMBERS.keys())
def numbers(request: pytest.FixtureRequest) -> Numbers:
    found: Numbers = request.param
    return found


EVERY = st.sampled_from(list(NUMBERS.values()))


@given(EVERY, st.sampled_from(Sockets), WORD, WORD, WORD)
def test_sockets(numbers: Numbers, sockets: Sockets, family: int, kind: int, protocol: int) -> None:
    code = program(numbers, sockets)
    for domain in (family, 0, 1, 2, 10, 16, 17, 40):
        for what in (kind, 1, 2, 3, 5, 1 | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC):
            for spoken in (protocol, 0, 6, 132):
                found = verdict(code, numbers.socket, [domain, what, spoken], numbers.arch)
                stream = what & 0xF == 1
                near = domain == socket.AF_UNIX and (stream or what & 0xF == 5)
                near |= domain == 16 and spoken == 0
                if sockets is not Sockets.NONE:
                    near |= domain in {socket.AF_INET, socket.AF_INET6} and (
                        stream and spoken in {0, 6}
                    )
                assert found == (ALLOWED if near else errno.EACCES)


def test_pairs_are_of_unix_sockets_without_datagrams(numbers: Numbers) -> None:
    code = program(numbers, Sockets.SUPERVISED)
    for family, kind, expected in [
        (1, 1, ALLOWED), (1, 5, ALLOWED), (1, 2, errno.EACCES), (2, 1, errno.EACCES)
    ]:  # fmt: skip
        assert verdict(code, numbers.socketpair, [family, kind], numbers.arch) == expected


def test_connections_are_asked_for_where_there_is_a_supervisor(numbers: Numbers) -> None:
    for sockets in Sockets:
        expected = NOTIFIED if sockets is Sockets.SUPERVISED else ALLOWED
        code = program(numbers, sockets)
        assert verdict(code, numbers.connect, [3, 0, 16], numbers.arch) == expected


@given(EVERY, st.sampled_from(Sockets), WORD)
def test_nothing_connects_while_it_sends(numbers: Numbers, sockets: Sockets, flags: int) -> None:
    code = program(numbers, sockets)
    for number, place in ((numbers.sendto, 3), (numbers.sendmsg, 2), (numbers.sendmmsg, 3)):
        arguments = [0] * 6
        for given_flags in (flags, flags | MSG_FASTOPEN, flags & ~MSG_FASTOPEN):
            arguments[place] = given_flags
            expected = errno.EACCES if given_flags & MSG_FASTOPEN else ALLOWED
            assert verdict(code, number, arguments, numbers.arch) == expected


def test_io_uring_is_not_there(numbers: Numbers) -> None:
    code = program(numbers, Sockets.SUPERVISED)
    for number in numbers.io_uring:
        assert verdict(code, number, [], numbers.arch) == errno.ENOSYS


@given(EVERY, st.sampled_from(Sockets), WORD, WORD)
def test_other_calls_pass_and_other_processors_do_not(
    numbers: Numbers, sockets: Sockets, number: int, arch: int
) -> None:
    code = program(numbers, sockets)
    ours = {getattr(numbers, name) for name in (
        "socket", "socketpair", "connect", "sendto", "sendmsg", "sendmmsg"
    )} | set(numbers.io_uring)  # fmt: skip
    if arch != numbers.arch:
        assert verdict(code, number, [], arch) == errno.EACCES
    if numbers.foreign is not None and number >= numbers.foreign:
        assert verdict(code, number, [], numbers.arch) == errno.ENOSYS
    elif number not in ours:
        assert verdict(code, number, [], numbers.arch) == ALLOWED


def test_the_second_set_of_calls_is_not_there() -> None:
    numbers = NUMBERS["x86_64"]
    code = program(numbers, Sockets.SUPERVISED)
    assert numbers.foreign is not None
    for number in (numbers.socket, numbers.connect, 0):
        assert verdict(code, numbers.foreign + number, [], numbers.arch) == errno.ENOSYS
