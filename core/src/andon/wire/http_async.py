"""HTTP for asyncio over aiohttp, behind the same face as :mod:`andon.wire.http`.

Of the clients that are kept well, aiohttp is the one whose parser is written in C: with 64 calls at
once it takes a fifth of the time that httpx2 takes (docs/explanation/speed.md). Its session is used
without what an API call must not have: cookies, redirects, environment variables. It is imported
with the first connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from andon.errors import BackendError, ConfigurationError
from andon.wire.waits import MAX_BODY, Timeouts, Waits

if TYPE_CHECKING:
    import ssl

    import aiohttp

#: Seconds for which an idle connection is kept.
_KEEP_ALIVE = 30.0

#: Most bytes of one header line, and most that wait to be read.
_LINE, _BUFFER = 64 * 1024, 256 * 1024


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
        except exceptions() as error:
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
        except exceptions() as error:
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
                library_of().ClientPayloadError("the body was damaged, or broke off")
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
        library = library_of()
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
        except exceptions() as error:
            raise waits.explain(error) from error
        return AioResponse(response, waits)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


def too_large(url: str, limit: int, status: int) -> BackendError:
    """Return the error for a reply that is larger than anybody could want.

    :param url: where it came from.
    :param limit: most bytes of a reply that is read whole.
    :param status: its status.
    """
    return BackendError(
        f"{url} sent a reply of more than {limit} bytes, the limit for a reply that is read "
        "whole; is it the right address?",
        status=status,
    )


@lru_cache(maxsize=1)
def library_of() -> Any:
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
def exceptions() -> tuple[type[Exception], ...]:
    """Return what a request can raise: aiohttp's errors, and those that it lets pass."""
    library = library_of()
    # OSError: a resolver's error that aiohttp does not translate, and its own timeouts.
    return (library.ClientError, library.http_exceptions.HttpProcessingError, OSError, ValueError)


@lru_cache(maxsize=256)
def _parse(url: str) -> Any:
    from yarl import URL

    # What a dialect has encoded stays as it is: signatures go by the very bytes.
    return URL(url, encoded=True)


@lru_cache(maxsize=64)
def _patience(connect: float | None) -> Any:
    return library_of().ClientTimeout(total=None, sock_connect=connect, sock_read=None)


def _now() -> float:
    return asyncio.get_running_loop().time()
