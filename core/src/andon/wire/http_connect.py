"""Connections: names resolved, addresses tried, TLS begun; once for threads, once for asyncio.

Every socket of our own transport is connected here and nowhere else, to a number and never to a
name. Where data must stay near, each of these numbers is checked between the resolver's answer and
the connection, so that a name which leads elsewhere, or does so the second time, leads nowhere.

Where a host has several addresses, the next is tried a moment after the last, and the first
that answers is taken (RFC 8305): one whose route is dead costs that moment and not a timeout.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from andon.errors import PrivacyViolation
from andon.wire.http_errors import ConnectError, ConnectTimeout
from andon.wire.http_parser import Target

if TYPE_CHECKING:
    import asyncio
    import ssl

    from andon.privacy.egress import EgressPolicy

#: Seconds before the next address is tried beside the last (RFC 8305, 5).
_NEXT_AFTER = 0.25

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", -1)}

#: A family, and an address in it.
Place: TypeAlias = "tuple[socket.AddressFamily, tuple[Any, ...]]"


def connect(
    target: Target,
    tls: ssl.SSLContext | None,
    timeout: float | None,
    egress: EgressPolicy | None = None,
) -> socket.socket | ssl.SSLSocket:
    """Return a connection for a thread.

    :param target: where to.
    :param tls: how to check its certificate, where it is encrypted.
    :param timeout: seconds that all of it may take, or None for ever; but a resolver takes as long
        as the system lets it.
    :param egress: where it may lead; anywhere where None.
    :raises ConnectError: there is none.
    :raises ConnectTimeout: it took too long.
    :raises PrivacyViolation: it would lead where it must not; nothing was sent.
    """
    until = None if timeout is None else time.monotonic() + timeout
    try:
        sock = _race(look_up(target, egress), until)
        try:
            sock.settimeout(_left(until))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                return tls.wrap_socket(sock, server_hostname=target.host)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    except TimeoutError as error:
        raise ConnectTimeout(str(error)) from error
    except (OSError, ValueError) as error:
        raise ConnectError(_reason(error)) from error


def _race(places: Sequence[Place], until: float | None) -> socket.socket:
    """Return the first connection of several that are tried, each a moment after the last."""
    if len(places) == 1:
        family, address = places[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(until))
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock
    with selectors.DefaultSelector() as selector:
        racers = _Racers(selector)
        try:
            return racers.run(list(places), until)
        finally:
            racers.close()


class _Racers:
    """Connections that are being made at the same time."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._failure: OSError | None = None

    def run(self, places: list[Place], until: float | None) -> socket.socket:
        """Return the first that is there."""
        while places or self._selector.get_map():
            if places and (sock := self._start(*places.pop(0))) is not None:
                return sock
            while self._selector.get_map():
                pause = _left(until)
                if places:
                    pause = _NEXT_AFTER if pause is None else min(pause, _NEXT_AFTER)
                ready = self._selector.select(pause)
                if (winner := self._winner(ready)) is not None:
                    return winner
                if not ready and not places and until is not None:
                    raise TimeoutError("no address answered")
                if places:
                    break
        raise self._failure or OSError("no address")

    def _start(
        self, family: socket.AddressFamily, address: tuple[Any, ...]
    ) -> socket.socket | None:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
        except OSError as error:
            self._fail(sock, error)
            return None
        if code == 0:
            return sock
        if code in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE)
        else:
            self._fail(sock, OSError(code, os.strerror(code)))
        return None

    def _fail(self, sock: socket.socket, error: OSError) -> None:
        self._failure = self._failure or error
        sock.close()

    def _winner(self, ready: Sequence[tuple[selectors.SelectorKey, int]]) -> socket.socket | None:
        for key, _ in ready:
            sock: Any = key.fileobj
            self._selector.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock  # type: ignore[no-any-return]
            self._fail(sock, OSError(code, os.strerror(code)))
        return None

    def close(self) -> None:
        """Give up the others."""
        for key in list(self._selector.get_map().values()):
            sock: Any = key.fileobj
            self._selector.unregister(sock)
            sock.close()


async def connect_async(
    target: Target,
    tls: ssl.SSLContext | None,
    protocol: asyncio.BufferedProtocol,
    egress: EgressPolicy | None = None,
) -> None:
    """Make a connection of the running event loop; see :func:`connect`.

    :param protocol: what is told of it.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    try:
        sock = await _arace(loop, await look_up_async(target, egress))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = None if tls is None else target.host
            await loop.create_connection(lambda: protocol, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
    except (OSError, ValueError) as error:
        raise ConnectError(_reason(error)) from error


async def _arace(loop: asyncio.AbstractEventLoop, places: Sequence[Place]) -> socket.socket:
    """Return the first connection; see :func:`_race`."""
    import asyncio

    if len(places) == 1:
        return await _start(loop, *places[0])
    waiting, failures = list(places), list[BaseException]()
    trying: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or trying:
            if waiting:
                trying.add(loop.create_task(_start(loop, *waiting.pop(0))))
            pause = _NEXT_AFTER if waiting else None
            done, _ = await asyncio.wait(trying, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                trying.discard(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                failures.append(failure)
        raise failures[0]
    finally:
        for task in trying:
            task.add_done_callback(_close_late)
            task.cancel()


async def _start(
    loop: asyncio.AbstractEventLoop, family: socket.AddressFamily, address: tuple[Any, ...]
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close a connection that came after another was taken."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def silence(sock: socket.socket) -> Callable[[], bool]:
    """Return what tells whether nothing has come on a connection, not even its end."""
    if not hasattr(select, "poll"):
        return lambda: not select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return lambda: not poll.poll(0)


# -- Names and numbers ----------------------------------------------------------------------------


def look_up(target: Target, egress: EgressPolicy | None = None) -> list[Place]:
    """Return the addresses of a host in the order in which to try them.

    :param target: whose.
    :param egress: what each of them must be allowed by; anything is where None.
    :raises OSError: it has none.
    :raises PrivacyViolation: the host or one of its addresses is not allowed.
    """
    host = _allowed_host(target, egress)
    found = _number(host, target.port)
    if found is None:
        found = socket.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
    return _places(target, found, egress)


async def look_up_async(target: Target, egress: EgressPolicy | None = None) -> list[Place]:
    """Return the addresses of a host without holding the event loop up; see :func:`look_up`."""
    import asyncio

    host = _allowed_host(target, egress)
    found = _number(host, target.port)
    if found is None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
    return _places(target, found, egress)


def _allowed_host(target: Target, egress: EgressPolicy | None) -> str:
    """Return the host to look up, if it may be asked for at all: a question is data as well."""
    if egress is None:
        return target.host
    try:
        return egress.check_host(target.host)
    except PrivacyViolation as error:
        raise _refusal(target, error) from error


def _number(host: str, port: int) -> Sequence[Any] | None:
    """Return what a resolver would say of a host that is a number, or None for a name."""
    for family, zeros in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return [(family, 0, 0, "", (host, port, *zeros))]
    return None


def _places(target: Target, found: Sequence[Any], egress: EgressPolicy | None) -> list[Place]:
    """Return the addresses that may be tried, their families in turn."""
    places = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
    if not places:
        raise OSError(f"{target.host} has no address")
    if egress is not None:
        _check(target, places, egress)
    first = [place for place in places if place[0] == places[0][0]]
    others = [place for place in places if place[0] != places[0][0]]
    both = chain.from_iterable(zip_longest(first, others))
    return [place for place in both if place is not None]


def _check(target: Target, places: Sequence[Place], egress: EgressPolicy) -> None:
    """Check every address: whoever can add one to a name can make it the only one."""
    for _, address in places:
        try:
            egress.check_address(address[0])
        except PrivacyViolation as error:
            raise _refusal(target, error) from error


def _refusal(target: Target, error: PrivacyViolation) -> PrivacyViolation:
    return PrivacyViolation(
        f"nothing was sent to {target.authority}: {error}; list what is yours in [network] of "
        "the settings"
    )


def _left(until: float | None) -> float | None:
    if until is None:
        return None
    # 0 would mean "do not wait at all" to a socket, which is another error.
    return max(until - time.monotonic(), 0.001)


def _reason(error: Exception) -> str:
    # An error of the resolver says its number first, and a refusal nothing else that helps.
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
