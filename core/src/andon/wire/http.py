"""The one door to the network: a driver for threads over httpx2, and one for asyncio over aiohttp.

httpx2's transports are driven and not its clients: cookies, redirects, environment variables and
``.netrc`` are what an API call must not have, and leaving them out is also faster. They serve
asyncio as well where a proxy is set, which aiohttp knows less well. Each library is imported with
the first connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, Self

from andon.errors import BackendError, ConfigurationError, SettingsError
from andon.wire.http_async import AioConnection, library_of, too_large
from andon.wire.waits import MAX_BODY, Timeouts, Waits

if TYPE_CHECKING:
    import ssl

    import httpx2


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to connect. Nothing of it is ever read from the environment.

    :param ca_file: a file of certificates to trust instead of the system's.
    :param proxy: URL of a proxy.
    :param keep_alive: most idle connections that are kept.
    :param tls: whether https is needed; loading certificates takes longer than a call.
    """

    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    keep_alive: int = 100
    tls: bool = True


class _Limited:
    """Puts our waits in place of the one timeout that httpx2 has for all reads of a body.

    The connection goes back to the pool, so it is taken off again before that.
    """

    __slots__ = ("_names",)

    def __init__(self, response: httpx2.Response, waits: Waits) -> None:
        stream = response.extensions.get("network_stream")
        self._names: dict[str, Any] = getattr(stream, "__dict__", {})
        if stream is None:
            return
        read = type(stream).read

        def limited(max_bytes: int, timeout: float | None = None) -> Any:
            return read(stream, max_bytes, waits.read())

        self._names["read"] = limited

    def remove(self) -> None:
        self._names.pop("read", None)


class _Reply:
    """What both colours of a reply share."""

    __slots__ = ("_limited", "_response", "_waits", "headers", "status")

    def __init__(self, response: httpx2.Response, waits: Waits) -> None:
        self._response = response
        self._waits = waits
        self._limited = _Limited(response, waits)
        self.status = response.status_code
        self.headers: dict[str, str] = dict(response.headers.items())

    def expect_end(self) -> None:
        """Wait only a moment for the rest, which does not matter, nor whether it breaks off."""
        self._waits.ending = True

    def _too_large(self, limit: int) -> BackendError:
        return too_large(self._waits.url, limit, self.status)


class HTTPResponse(_Reply):
    """A reply whose head has arrived. It must be closed."""

    __slots__ = ()

    def iter_bytes(self) -> Generator[bytes, None, None]:
        """Give the body, decompressed, as it comes.

        :raises TransportError: the connection broke.
        :raises RequestTimeout: it took longer than it may.
        """
        waits = self._waits
        try:
            for data in self._response.iter_bytes():
                waits.body = True
                yield data
                waits.check()
        except _exceptions() as error:
            if not waits.ending:
                raise waits.explain(error) from error

    def read(self, limit: int = MAX_BODY, *, cut: bool = False) -> bytes:
        """Return the whole body.

        :param limit: most bytes.
        :param cut: return the beginning of a larger body.
        :raises BackendError: the body is larger.
        """
        body = bytearray()
        for data in self.iter_bytes():
            body += data
            if len(body) > limit:
                if cut:
                    return bytes(body[:limit])
                raise self._too_large(limit)
        return bytes(body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; end it if the body was not read to its end."""
        self._limited.remove()
        self._response.close()


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


class _AsyncReply(_Reply):
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
        except _exceptions() as error:
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


class HTTPConnection:
    """Connections that are kept and used again, for any number of threads.

    :param settings: how to connect.
    :raises SettingsError: the file of certificates or the proxy cannot be used.
    """

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        library = _library()
        options = _options(settings or ConnectionSettings())
        self._transport: httpx2.HTTPTransport = _open(library.HTTPTransport, options)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> HTTPResponse:
        """Send a request; return the reply as soon as its head is there.

        :raises TransportError: there is no connection, or it broke.
        :raises RequestTimeout: it took longer than it may.
        """
        waits = Waits(timeouts, url)
        try:
            request = _request(method, url, headers, body, waits)
            return HTTPResponse(self._transport.handle_request(request), waits)
        except _exceptions() as error:
            raise waits.explain(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


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
            library_of()
            tls = _ssl_context(settings.ca_file, tls=settings.tls)
            self._make = partial(AioConnection, tls)
        else:
            _options(settings)
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
        self._transport: httpx2.AsyncHTTPTransport = _open(
            _library().AsyncHTTPTransport, _options(settings)
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> _AsyncReply:
        waits = Waits(timeouts, url)
        try:
            request = _request(method, url, headers, body, waits)
            async with asyncio.timeout(waits.within(None)):
                return _AsyncReply(await self._transport.handle_async_request(request), waits)
        except _exceptions() as error:
            raise waits.explain(error) from error

    async def aclose(self) -> None:
        await self._transport.aclose()


_Drivers = AioConnection | _HTTPXDriver


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ConfigurationError(
            "backends over HTTP need httpx2: pip install 'andon[http]'"
        ) from error
    return httpx2


@lru_cache(maxsize=1)
def _exceptions() -> tuple[type[Exception], ...]:
    library = _library()
    # OSError: a proxy's or resolver's error that httpx2 does not translate.
    kinds = (library.HTTPError, library.StreamError, library.InvalidURL, library.CookieConflict)
    return (*kinds, OSError)


@lru_cache(maxsize=256)
def _parse(url: str) -> httpx2.URL:
    parsed: httpx2.URL = _library().URL(url)
    return parsed


def _request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, waits: Waits
) -> httpx2.Request:
    request: httpx2.Request = _library().Request(
        method,
        _parse(url),
        headers={"accept-encoding": "gzip, deflate", **headers},
        content=body,
        extensions=waits.extension(),
    )
    return request


def _options(settings: ConnectionSettings) -> dict[str, Any]:
    limits = _library().Limits(
        max_connections=None, max_keepalive_connections=settings.keep_alive, keepalive_expiry=30.0
    )
    verify = _ssl_context(settings.ca_file, tls=settings.tls)
    return {"verify": verify, "trust_env": False, "proxy": settings.proxy, "limits": limits}


@lru_cache(maxsize=16)
def _ssl_context(ca_file: str | None, *, tls: bool) -> ssl.SSLContext:
    if tls and ca_file is None:
        context: ssl.SSLContext = _library().create_ssl_context(trust_env=False)
        return context
    import ssl

    if not tls:
        # Trusts no certificate at all, so it is of no use to anybody, and safe.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ca_file {ca_file!r} cannot be used: {error}") from error


def _open(transport: Any, options: dict[str, Any]) -> Any:
    try:
        return transport(**options)
    except (ValueError, ImportError) as error:
        # Not the error's own text: it may repeat the proxy's password.
        raise SettingsError(
            "proxy must be a URL like http://host:port, or socks5:// with socksio installed"
        ) from error
