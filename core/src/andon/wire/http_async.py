"""HTTP for asyncio: our own transport, as :mod:`andon.wire.http` has it for threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Self

from andon.wire.http import FAILURES, ConnectionSettings, is_stale, within
from andon.wire.http_coding import inflater, undo
from andon.wire.http_connect import connect_async
from andon.wire.http_errors import ConnectTimeout, EndedWhileIdle, RemoteProtocolError
from andon.wire.http_loop import Line
from andon.wire.http_parser import Target, read_url, write_head
from andon.wire.http_pool import IdlePool
from andon.wire.http_tls import ssl_context
from andon.wire.waits import MAX_BODY, Timeouts, Waits

if TYPE_CHECKING:
    from andon.wire.http_httpx import AsyncHTTPXConnection


class AsyncHTTPResponse:
    """A reply whose head has arrived; see :class:`andon.wire.http.HTTPResponse`."""

    __slots__ = ("_waits", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], waits: Waits) -> None:
        self.status = status
        self.headers = headers
        self._waits = waits

    def expect_end(self) -> None:
        """Wait only a moment for the rest, which does not matter, nor whether it breaks off."""
        self._waits.ending = True

    def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body; see :meth:`andon.wire.http.HTTPResponse.iter_bytes`."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Give the connection back; see :meth:`andon.wire.http.HTTPResponse.close`."""
        raise NotImplementedError

    async def aread(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`andon.wire.http.HTTPResponse.read`."""
        body = bytearray()
        async with aclosing(self.aiter_bytes()) as pieces:
            async for data in pieces:
                body += data
                if len(body) > limit:
                    break
        return within(bytes(body), limit, cut, self._waits, self.status)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AioResponse(AsyncHTTPResponse):
    """A reply of our own transport."""

    __slots__ = ("_driver", "_line")

    def __init__(self, driver: _Driver, line: Line, waits: Waits) -> None:
        super().__init__(line.parser.status, line.parser.headers, waits)
        self._driver = driver
        self._line: Line | None = line

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body; see :meth:`andon.wire.http.HTTPResponse.iter_bytes`."""
        waits = self._waits
        try:
            coding = inflater(self.headers.get("content-encoding"))
            while (pieces := self._open_line().take()) is not None:
                if not pieces:
                    await self._open_line().wait(waits.read())
                    continue
                for piece in pieces if coding is None else undo(coding, pieces):
                    waits.body = True
                    yield piece
                    waits.check()
            if coding is not None:
                coding.finish()
        except FAILURES as error:
            await self.aclose()
            if not waits.ending:
                raise waits.explain(error) from error

    def _open_line(self) -> Line:
        if self._line is None:
            raise RemoteProtocolError("the reply was closed before its end")
        return self._line

    async def aread(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`andon.wire.http.HTTPResponse.read`."""
        line = self._line
        if line is None or not line.parser.complete or "content-encoding" in self.headers:
            return await super().aread(limit, cut=cut)
        # Most replies are small, and came whole with their head.
        return within(b"".join(line.take() or ()), limit, cut, self._waits, self.status)

    async def aclose(self) -> None:
        """Give the connection back; see :meth:`andon.wire.http.HTTPResponse.close`."""
        line, self._line = self._line, None
        if line is not None:
            self._driver.take_back(line)


class AsyncHTTPConnection:
    """The same for asyncio. Every event loop has connections of its own, as sockets demand.

    :param settings: how to connect.
    :raises SettingsError: the file of certificates or the proxy cannot be used.
    """

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        # What takes long, importing and loading certificates, is done here: not in the loop.
        self._settings = settings or ConnectionSettings()
        self._other: AsyncHTTPXConnection | None = None
        if self._settings.needs_httpx:
            from andon.wire.http_httpx import AsyncHTTPXConnection

            self._other = AsyncHTTPXConnection(self._settings)
        elif self._settings.tls:
            ssl_context(self._settings.ca_file)
        self._drivers: dict[asyncio.AbstractEventLoop, _Driver] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: Timeouts,
        *,
        repeatable: bool = True,
    ) -> AsyncHTTPResponse:
        """Send a request; see :meth:`andon.wire.http.HTTPConnection.send`."""
        if self._other is not None:
            return await self._other.send(method, url, headers, body, timeouts)
        waits = Waits(timeouts, url, method)
        try:
            target = read_url(url)
            head = write_head(method, target, headers, len(body))
            driver = self._driver()
            line, idle = driver.take(target)
            if line is not None:
                try:
                    return await driver.exchange(line, method, head, body, waits)
                except EndedWhileIdle:
                    pass  # nothing was sent, so whatever it is may go over another one
                except FAILURES as error:
                    if not (repeatable and is_stale(error, line.parser, idle)):
                        raise
            line = await driver.connect(target, waits)
            return await driver.exchange(line, method, head, body, waits)
        except FAILURES as error:
            raise waits.explain(error) from error

    async def aclose(self) -> None:
        """Close every connection of this event loop, and forget those of loops that have ended."""
        if self._other is not None:
            await self._other.aclose()
        driver = self._drivers.pop(asyncio.get_running_loop(), None)
        if driver is not None:
            driver.close()
            # Sockets are closed in the loop's next turn.
            turn = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(turn.set_result, None)
            await turn
        self._forget_ended()

    def close(self) -> None:
        """Close every connection from outside of a task; each loop does so in its next turn."""
        if self._other is not None:
            self._other.close()
        drivers, self._drivers = self._drivers, {}
        for loop, driver in drivers.items():
            # A loop that ends has closed them, or never can.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(driver.close)

    def _driver(self) -> _Driver:
        loop = asyncio.get_running_loop()
        driver = self._drivers.get(loop)
        if driver is None:
            self._forget_ended()
            driver = self._drivers[loop] = _Driver(self._settings, loop)
        return driver

    def _forget_ended(self) -> None:
        # Their connections cannot be used, or even closed, any more.
        for loop in [loop for loop in list(self._drivers) if loop.is_closed()]:
            self._drivers.pop(loop, None)


class _Driver:
    """The connections of one event loop."""

    def __init__(self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._idle: IdlePool[Line] = IdlePool(settings.keep_alive)
        self._under_way = 0
        self._closed = False

    async def connect(self, target: Target, waits: Waits) -> Line:
        """Make a connection."""
        settings, tls = self._settings, None
        if target.tls:
            tls = ssl_context(settings.ca_file, tls=settings.tls)
        line = Line(target, self._loop)
        try:
            async with asyncio.timeout(waits.within(waits.limits.connect)):
                await connect_async(target, tls, line, settings.egress)
        except TimeoutError as error:
            raise ConnectTimeout(str(error)) from error
        return line

    async def exchange(
        self, line: Line, method: str, head: bytes, body: bytes, waits: Waits
    ) -> AioResponse:
        """Send a request over a connection; return the reply when its head is there."""
        self._under_way += 1
        try:
            line.send(method, head, body, alone=self._under_way == 1)
            await line.drain(waits)
            await line.wait_head(waits.read())
        except BaseException:
            self._under_way -= 1
            line.end()
            raise
        return AioResponse(self, line, waits)

    def take(self, target: Target) -> tuple[Line | None, float]:
        """Return an idle connection, if there is one, and for how many seconds it was idle."""
        while True:
            line, idle, old = self._idle.take(target, self._loop.time())
            for other in old:
                other.end()
            if line is None or line.is_idle:
                return line, idle
            line.end()

    def take_back(self, line: Line) -> None:
        """Keep a connection for the next request, if it can be used again."""
        self._under_way -= 1
        surplus = [line]
        if line.is_idle and not self._closed:
            surplus = self._idle.put(line.target, line, self._loop.time())
        for other in surplus:
            other.end()

    def close(self) -> None:
        """Close every connection; those in use when their reply ends."""
        self._closed = True
        for line in self._idle.clear():
            line.end()
