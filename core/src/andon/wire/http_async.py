"""HTTP for asyncio, over aiohttp; with a proxy over httpx2, which knows more kinds of them.

Of the clients that are kept well, aiohttp is the one whose parser is written in C: with 64 calls at
once it takes a fifth of the time that httpx2 takes (docs/explanation/speed.md). Its session is used
without what an API call must not have: cookies, redirects, environment variables. It is imported
with the first connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, Self

from andon.errors import ConfigurationError
from andon.wire.http import (
    ConnectionSettings,
    Reply,
    httpx_exceptions,
    httpx_library,
    httpx_options,
    httpx_request,
    open_transport,
    ssl_context,
    too_large,
)
from andon.wire.waits import MAX_BODY, Timeouts, Waits

if TYPE_CHECKING:
    import ssl

    import aiohttp
    import httpx2

#: Seconds for which an idle connection is kept.
_KEEP_ALIVE = 30.0

#: Most bytes of one header line, and most that wait to be read.
_LINE, _BUFFER = 64 * 1024, 256 * 1024


class AsyncHTTPResponse(Protocol):
    """A reply whose head has arrived; see :class:`HTTPResponse`."""

    status: int
    headers: dict[str, str]

    def expect_end(self) -> None:
        """Wait only a moment for the rest; see :meth:`HTTPResponse.expect_end`."""
        ...

    def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body, decompressed, as it comes; see :meth:`HTTPResponse.iter_bytes`."""
        ...

    async def aread(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`HTTPResponse.read`."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def aclose(self) -> None:
        """Give the connection back; see :meth:`HTTPResponse.close`."""
        ...


class AioResponse:
    """A reply whose head has arrived; see :class:`andon.wire.http.AsyncHTTPResponse`."""

    __slots__ = ("_closed", "_response", "_waits", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, waits: Waits) -> None:
        self._response = response
        self._waits = waits
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        # aiohttp closes the connection at a chunk that is none, and lets the reader wait.
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._break_off)

    def expect_end(self) -> None:
        """Wait only a moment for the rest, which does not matter, nor whether it breaks off."""
        self._waits.ending = True

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body, decompressed, as it comes."""
        waits, content = self._waits, self._response.content
        try:
            while True:
                # A pause of the whole reply is only looked for where nothing waits to be read.
                async with asyncio.timeout(waits.read()):
                    data = await content.readany()
                if not data:
                    if content.at_eof():
                        return
                    continue
                waits.body = True
                yield data
                waits.check()
        except aiohttp_exceptions() as error:
            if not waits.ending:
                raise waits.explain(error) from error

    async def aread(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`andon.wire.http.HTTPResponse.read`."""
        waits, content = self._waits, self._response.content
        if content.is_eof() and content.exception() is None:
            # Most replies are small, and came whole with their head.
            return self._cut(content.read_nowait(), limit, cut)
        body = bytearray()
        try:
            async with asyncio.timeout(waits.read()) as patience:
                while len(body) <= limit and (data := await content.readany()):
                    body += data
                    waits.body = True
                    pause = waits.read()
                    patience.reschedule(None if pause is None else _now() + pause)
        except aiohttp_exceptions() as error:
            raise waits.explain(error) from error
        waits.check()
        return self._cut(bytes(body), limit, cut)

    def _cut(self, body: bytes, limit: int, cut: bool) -> bytes:
        if len(body) <= limit:
            return body
        if cut:
            return body[:limit]
        raise too_large(self._waits.url, limit, self.status)

    def _break_off(self, _: object) -> None:
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(
                aiohttp_library().ClientPayloadError("the body was damaged, or broke off")
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back; end it if the body was not read to its end."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._break_off)
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class AioConnection:
    """Connections of one event loop.

    :param tls: which certificates to trust.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        library = aiohttp_library()
        connector = library.TCPConnector(
            limit=0, ssl=tls, keepalive_timeout=_KEEP_ALIVE, ttl_dns_cache=60
        )
        self._session: aiohttp.ClientSession = library.ClientSession(
            connector=connector,
            cookie_jar=library.DummyCookieJar(),
            timeout=library.ClientTimeout(total=None, sock_connect=None, sock_read=None),
            skip_auto_headers=("user-agent", "accept"),
            trust_env=False,
            read_bufsize=_BUFFER,
            max_line_size=_LINE,
            max_field_size=_LINE,
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> AioResponse:
        """Send a request; see :meth:`andon.wire.http.AsyncHTTPConnection.send`."""
        waits = Waits(timeouts, url)
        try:
            async with asyncio.timeout(waits.read()):
                response = await self._session.request(
                    method,
                    _parse(url),
                    headers={"accept-encoding": "gzip, deflate", **headers},
                    data=body,
                    allow_redirects=False,
                    timeout=_patience(waits.within(timeouts.connect)),
                )
        except aiohttp_exceptions() as error:
            raise waits.explain(error) from error
        return AioResponse(response, waits)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


class _AsyncReply(Reply):
    """A reply that httpx2 brings; see :class:`AsyncHTTPResponse`."""

    __slots__ = ()

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body, decompressed, as it comes; see :meth:`HTTPResponse.iter_bytes`."""
        waits = self._waits
        try:
            # httpx2 types its generator as an iterator, which would have no aclose.
            chunks: Any = self._response.aiter_bytes()
            async with aclosing(chunks):
                async for data in chunks:
                    waits.body = True
                    yield data
                    waits.check()
        except httpx_exceptions() as error:
            if not waits.ending:
                raise waits.explain(error) from error

    async def aread(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body; see :meth:`HTTPResponse.read`."""
        body = bytearray()
        async with aclosing(self.aiter_bytes()) as pieces:
            async for data in pieces:
                body += data
                if len(body) > limit:
                    if cut:
                        return bytes(body[:limit])
                    raise self._too_large(limit)
        return bytes(body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back; see :meth:`HTTPResponse.close`."""
        self._limited.remove()
        await self._response.aclose()


class AsyncHTTPConnection:
    """The same for asyncio. Every event loop has connections of its own, as sockets demand.

    :param settings: how to connect.
    :raises SettingsError: the file of certificates cannot be used.
    """

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        # What takes long, importing and loading certificates, is done here: not in the loop.
        settings = settings or ConnectionSettings()
        self._make: Callable[[], _Drivers] = partial(_HTTPXDriver, settings)
        if settings.proxy is None and find_spec("aiohttp") is not None:
            aiohttp_library()
            tls = ssl_context(settings.ca_file, tls=settings.tls)
            self._make = partial(AioConnection, tls)
        else:
            httpx_options(settings)
        self._drivers: dict[asyncio.AbstractEventLoop, _Drivers] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> AsyncHTTPResponse:
        """Send a request; see :meth:`HTTPConnection.send`."""
        return await self._driver().send(method, url, headers, body, timeouts)

    async def aclose(self) -> None:
        """Close every connection of this event loop, and forget the others'."""
        driver = self._drivers.pop(asyncio.get_running_loop(), None)
        self._drivers.clear()
        if driver is not None:
            await driver.aclose()

    def _driver(self) -> _Drivers:
        loop = asyncio.get_running_loop()
        driver = self._drivers.get(loop)
        if driver is None:
            # Those of loops that have ended cannot be used or even closed any more.
            for ended in [other for other in list(self._drivers) if other.is_closed()]:
                del self._drivers[ended]
            driver = self._drivers[loop] = self._make()
        return driver


class _HTTPXDriver:
    """The connections of one event loop, over httpx2."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._transport: httpx2.AsyncHTTPTransport = open_transport(
            httpx_library().AsyncHTTPTransport, httpx_options(settings)
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> _AsyncReply:
        waits = Waits(timeouts, url)
        try:
            request = httpx_request(method, url, headers, body, waits)
            async with asyncio.timeout(waits.within(None)):
                return _AsyncReply(await self._transport.handle_async_request(request), waits)
        except httpx_exceptions() as error:
            raise waits.explain(error) from error

    async def aclose(self) -> None:
        await self._transport.aclose()


_Drivers = AioConnection | _HTTPXDriver


@lru_cache(maxsize=1)
def aiohttp_library() -> Any:
    """Import aiohttp.

    :raises ConfigurationError: it is not installed.
    """
    try:
        import aiohttp
    except ImportError as error:
        raise ConfigurationError(
            "backends over HTTP need aiohttp for asyncio: pip install 'andon[http]'"
        ) from error
    return aiohttp


@lru_cache(maxsize=1)
def aiohttp_exceptions() -> tuple[type[Exception], ...]:
    """Return what a request can raise: aiohttp's errors, and those that it lets pass."""
    library = aiohttp_library()
    # OSError: a resolver's error that aiohttp does not translate, and its own timeouts.
    return (library.ClientError, library.http_exceptions.HttpProcessingError, OSError, ValueError)


@lru_cache(maxsize=256)
def _parse(url: str) -> Any:
    from yarl import URL

    # What a dialect has encoded stays as it is: signatures go by the very bytes.
    return URL(url, encoded=True)


@lru_cache(maxsize=64)
def _patience(connect: float | None) -> Any:
    return aiohttp_library().ClientTimeout(total=None, sock_connect=connect, sock_read=None)


def _now() -> float:
    return asyncio.get_running_loop().time()
