"""One connection of an event loop: what the loop calls, and what a task waits for.

The loop reads into one buffer for each connection (``BufferedProtocol``). With the other kind of
protocol it would make 256 KiB of bytes for each reply and give most of them back, which takes
longer than everything else about a small reply. One timer for each connection is moved along
lazily, for the same reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from andon.wire.http_connect import silence
from andon.wire.http_errors import EndedWhileIdle, ReadTimeout, WireError, WriteTimeout
from andon.wire.http_parser import ReplyParser, Target
from andon.wire.waits import Waits

#: Most bytes that are taken from the network at once.
_ROOM = 64 * 1024

#: Bytes that wait for a task before the server is held up, and before it may go on.
_MANY, _FEW = 256 * 1024, 64 * 1024

#: Larger bodies are not copied together with their head.
_SMALL = 64 * 1024

#: Smaller requests, which never have to wait for a slow reader, are written in the loop's next
#: turn where others are under way, those of all tasks together: a system call amid Python's work
#: costs it its caches, which is a sixth of a call.
_SOON = 16 * 1024


class Line(asyncio.BufferedProtocol):
    """One connection, for one request at a time."""

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        self.parser = ReplyParser()
        #: Whether the connection has ended.
        self.lost = False
        self._loop = loop
        self._room = memoryview(bytearray(_ROOM))
        self._transport: asyncio.Transport | None = None
        self._is_silent: Callable[[], bool]
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._held = self._full = False  # whether reading, or writing, has to wait
        self._waiter: asyncio.Future[None] | None = None
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- What the loop calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        # The transports of uvloop say of themselves that they are none.
        self._transport = cast("asyncio.Transport", transport)
        self._is_silent = silence(transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that have come."""
        parser = self.parser
        if parser.complete:
            # Nobody asked: the connection is of no use any more.
            self.end()
            return
        try:
            body = parser.feed(bytes(self._room[:nbytes]))
        except WireError as error:
            self._fail(error)
            return
        if body:
            self._pieces += body
            self._size += nbytes
            if self._size > _MANY and not self._held and not parser.complete:
                self._held = True
                self._transport.pause_reading()  # type: ignore[union-attr]
        self._wake()

    def eof_received(self) -> None:
        """Take note that the server sends no more; the connection is closed."""
        self._end_reply(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection has ended."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_reply(exc)

    def pause_writing(self) -> None:
        """Take note that the server is slow to read."""
        self._full = True

    def resume_writing(self) -> None:
        """Take note that the server has read."""
        self._full = False
        self._wake()

    def _end_reply(self, reason: Exception | None) -> None:
        if not self.parser.complete and self._error is None:
            if reason is not None:
                self._error = reason
            else:
                try:
                    self.parser.end()
                except WireError as error:
                    self._error = error
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.end()
        self._wake()

    # -- What a task calls ----------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether another request can be sent."""
        transport = self._transport
        if self.lost or transport is None or transport.is_closing():
            return False
        sent = not transport.get_write_buffer_size()
        return self.parser.complete and self.parser.keep_alive and sent

    def send(self, method: str, head: bytes, body: bytes, *, alone: bool = True) -> None:
        """Begin to send a request. Whoever waits is told where the connection has ended.

        :param alone: whether no other request of the loop is under way.
        """
        used, self.parser = self.parser.complete, ReplyParser(method)
        self._pieces = []
        self._size, self._error = 0, None
        if len(body) <= _SOON and not alone:
            self._loop.call_soon(self._write, used, head + body)
        elif len(body) <= _SMALL:
            self._write(used, head + body)
        else:
            self._write(used, head, body)

    def _write(self, used: bool, *pieces: bytes) -> None:
        """Write a request, if the connection has not ended.

        :param used: whether it had one before: what has come since then says that it has ended,
            though the loop may not have seen it yet.
        """
        transport = self._transport
        gone = self.lost or transport is None or transport.is_closing()
        if gone or (used and not self._is_silent()):
            self._fail(EndedWhileIdle("it closed the connection without a reply"))
            return
        for piece in pieces:
            transport.write(piece)  # type: ignore[union-attr]

    async def drain(self, waits: Waits) -> None:
        """Wait until the request is sent or answered; each piece of it may take a pause."""
        transport = self._transport
        assert transport is not None
        while self._full and not self.parser.started and self._error is None:
            left = transport.get_write_buffer_size()
            try:
                await self.wait(waits.pause())
            except ReadTimeout:
                if transport.get_write_buffer_size() >= left:
                    raise WriteTimeout from None

    async def wait_head(self, pause: float | None) -> None:
        """Wait for the reply's head; all of it may take a pause."""
        until = None if pause is None else self._loop.time() + pause
        while not self.parser.status:
            if self._error is not None:
                raise self._error
            await self._wait_until(until)

    def take(self) -> list[bytes] | None:
        """Return the pieces that have come of the body, or None at its end.

        :raises Exception: the connection broke, and all that came before is taken.
        """
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._size = 0
            if self._held:
                self._held = False
                if not self.lost:
                    self._transport.resume_reading()  # type: ignore[union-attr]
            return pieces
        if self.parser.complete:
            return None
        if self._error is not None:
            raise self._error
        return []

    async def wait(self, pause: float | None) -> None:
        """Wait until something happens."""
        await self._wait_until(None if pause is None else self._loop.time() + pause)

    def end(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- Waiting --------------------------------------------------------------------------------

    async def _wait_until(self, until: float | None) -> None:
        self._until = until
        timer = self._timer
        if until is not None and (timer is None or timer.when() > until):
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(until, self._tick)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _tick(self) -> None:
        self._timer = None
        waiter, until = self._waiter, self._until
        if waiter is None or until is None or waiter.done():
            return
        if self._loop.time() >= until:
            waiter.set_exception(ReadTimeout())
        else:
            self._timer = self._loop.call_at(until, self._tick)
