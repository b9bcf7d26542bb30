"""What our own transport has not, proxies and HTTP/2: over httpx2, behind the same face.

httpx2's transports are driven and not its clients: cookies, redirects, environment variables and
``.netrc`` are what an API call must not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from andon.errors import ConfigurationError, SettingsError
from andon.wire.http import ConnectionSettings, HTTPResponse
from andon.wire.http_async import AsyncHTTPResponse
from andon.wire.http_coding import inflater, undo
from andon.wire.http_connect import Place, look_up, look_up_async
from andon.wire.http_errors import WireError
from andon.wire.http_parser import Target, read_url
from andon.wire.http_pool import KEEP_ALIVE
from andon.wire.http_tls import ssl_context
from andon.wire.waits import Timeouts, Waits

if TYPE_CHECKING:
    import httpx2


class _Limited:
    """Puts our waits in place of the one timeout that httpx2 has for all reads of a body.

    The connection goes back to the pool, so it is taken off again before that. HTTP/2 has one
    connection for many replies; there each read waits as long as the first.
    """

    __slots__ = ("_names",)

    def __init__(self, response: httpx2.Response, waits: Waits) -> None:
        stream = response.extensions.get("network_stream")
        self._names: dict[str, Any] = getattr(stream, "__dict__", {})
        if stream is None or response.extensions.get("http_version") == b"HTTP/2":
            return
        read = type(stream).read

        def limited(max_bytes: int, timeout: float | None = None) -> Any:
            return read(stream, max_bytes, waits.read())

        self._names["read"] = limited

    def remove(self) -> None:
        self._names.pop("read", None)


class HTTPXResponse(HTTPResponse):
    """A reply that httpx2 brings."""

    __slots__ = ("_limited", "_response")

    def __init__(self, response: httpx2.Response, waits: Waits) -> None:
        super().__init__(response.status_code, dict(response.headers.items()), waits)
        self._response = response
        self._limited = _Limited(response, waits)

    def iter_bytes(self) -> Generator[bytes, None, None]:
        """Give the body; see :meth:`andon.wire.http.HTTPResponse.iter_bytes`."""
        waits = self._waits
        try:
            coding = inflater(self.headers.get("content-encoding"))
            pieces = self._response.iter_raw()
            for piece in pieces if coding is None else undo(coding, pieces):
                waits.body = True
                yield piece
                waits.check()
            if coding is not None:
                coding.finish()
        except _exceptions() as error:
            if not waits.ending:
                raise waits.explain(error) from error

    def close(self) -> None:
        """Give the connection back; see :meth:`andon.wire.http.HTTPResponse.close`."""
        self._limited.remove()
        self._response.close()


class HTTPXConnection:
    """Connections for threads; see :class:`andon.wire.http.HTTPConnection`."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._transport = _open(lambda library: library.HTTPTransport, settings)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> HTTPXResponse:
        """Send a request; see :meth:`andon.wire.http.HTTPConnection.send`."""
        waits = Waits(timeouts, url, method)
        try:
            egress = self._settings.egress
            place = None if egress is None else look_up(read_url(url), egress)[0]
            request = _request(method, url, headers, body, waits, place)
            return HTTPXResponse(self._transport.handle_request(request), waits)
        except _exceptions() as error:
            raise waits.explain(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


class AsyncHTTPXResponse(AsyncHTTPResponse):
    """A reply that httpx2 brings."""

    __slots__ = ("_limited", "_response")

    def __init__(self, response: httpx2.Response, waits: Waits) -> None:
        super().__init__(response.status_code, dict(response.headers.items()), waits)
        self._response = response
        self._limited = _Limited(response, waits)

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Give the body; see :meth:`andon.wire.http.HTTPResponse.iter_bytes`."""
        waits = self._waits
        try:
            coding = inflater(self.headers.get("content-encoding"))
            # httpx2 types its generator as an iterator, which would have no aclose.
            chunks: Any = self._response.aiter_raw()
            async with aclosing(chunks):
                async for data in chunks:
                    for piece in (data,) if coding is None else undo(coding, (data,)):
                        waits.body = True
                        yield piece
                        waits.check()
            if coding is not None:
                coding.finish()
        except _exceptions() as error:
            if not waits.ending:
                raise waits.explain(error) from error

    async def aclose(self) -> None:
        """Give the connection back; see :meth:`andon.wire.http.HTTPResponse.close`."""
        self._limited.remove()
        await self._response.aclose()


class AsyncHTTPXConnection:
    """Connections for event loops; see :class:`andon.wire.http_async.AsyncHTTPConnection`."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        # What is wrong with the settings is wrong now, and not in the first request.
        self._spare: Any = self._make()
        self._transports: dict[asyncio.AbstractEventLoop, Any] = {}

    def _make(self) -> Any:
        return _open(lambda library: library.AsyncHTTPTransport, self._settings)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> AsyncHTTPXResponse:
        """Send a request; see :meth:`andon.wire.http.HTTPConnection.send`."""
        waits = Waits(timeouts, url, method)
        try:
            egress = self._settings.egress
            place = None if egress is None else (await look_up_async(read_url(url), egress))[0]
            request = _request(method, url, headers, body, waits, place)
            async with asyncio.timeout(waits.within(None)):
                response = await self._transport().handle_async_request(request)
        except _exceptions() as error:
            raise waits.explain(error) from error
        return AsyncHTTPXResponse(response, waits)

    def _transport(self) -> Any:
        loop = asyncio.get_running_loop()
        transport = self._transports.get(loop)
        if transport is None:
            for ended in [other for other in list(self._transports) if other.is_closed()]:
                del self._transports[ended]
            transport, self._spare = self._spare or self._make(), None
            self._transports[loop] = transport
        return transport

    async def aclose(self) -> None:
        """Close every connection of this event loop."""
        transport = self._transports.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.aclose()

    def close(self) -> None:
        """Close every connection from outside of a task; each loop does so in its next turns."""
        transports, self._transports = self._transports, {}
        for loop, transport in transports.items():
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(transport.aclose(), loop)


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ConfigurationError(
            "a proxy needs httpx2: pip install 'andon[http]'; HTTP/2, 'andon[http2]'"
        ) from error
    return httpx2


@lru_cache(maxsize=1)
def _exceptions() -> tuple[type[Exception], ...]:
    library = _library()
    # OSError: a proxy's or resolver's error that httpx2 does not translate.
    kinds = (library.HTTPError, library.StreamError, library.InvalidURL, library.CookieConflict)
    return (*kinds, WireError, OSError)


@lru_cache(maxsize=256)
def _parse(url: str) -> httpx2.URL:
    parsed: httpx2.URL = _library().URL(url)
    return parsed


def _request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    waits: Waits,
    place: Place | None,
) -> httpx2.Request:
    """Return a request of httpx2's.

    :param place: the address that was checked, where any was. httpx2 would look the name up once
        more, and may be told another: it never sees the name but in the certificate.
    """
    parsed, extensions = _parse(url), waits.extension()
    sent = {"accept-encoding": "gzip, deflate", **headers}
    if place is not None:
        target = read_url(url)
        sent = {"host": target.authority, **sent}
        extensions["sni_hostname"] = target.host
        parsed = parsed.copy_with(host=place[1][0])
    request: httpx2.Request = _library().Request(
        method, parsed, headers=sent, content=body, extensions=extensions
    )
    return request


def _proxy(settings: ConnectionSettings) -> str | None:
    """Return the proxy's URL, with an address that was checked where it has to be near."""
    proxy, egress = settings.proxy, settings.egress
    if proxy is None or egress is None:
        return proxy
    url = _library().URL(proxy)
    place = look_up(Target(url.host, url.port or 0, tls=False, authority=url.host, path=""), egress)
    return str(url.copy_with(host=place[0][1][0]))


def _open(choose: Callable[[Any], Any], settings: ConnectionSettings) -> Any:
    library = _library()
    if settings.http2 and find_spec("h2") is None:
        raise SettingsError("http2 needs the package h2: pip install 'andon[http2]'")
    limits = library.Limits(
        max_connections=None,
        max_keepalive_connections=settings.keep_alive,
        keepalive_expiry=KEEP_ALIVE,
    )
    try:
        return choose(library)(
            verify=ssl_context(settings.ca_file, tls=settings.tls, http2=settings.http2),
            trust_env=False,
            proxy=_proxy(settings),
            limits=limits,
            http2=settings.http2,
        )
    except (ValueError, ImportError, OSError, library.InvalidURL) as error:
        # Not the error's own text: it may repeat the proxy's password.
        raise SettingsError(
            "proxy must be a URL like http://host:port of a host that has an address, or "
            "socks5:// with socksio installed"
        ) from error
