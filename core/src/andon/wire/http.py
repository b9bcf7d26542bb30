"""HTTP for threads, over httpx2. What asyncio has instead is in :mod:`andon.wire.http_async`.

httpx2's transports are driven and not its clients: cookies, redirects, environment variables and
``.netrc`` are what an API call must not have, and leaving them out is also faster. httpx2 is
imported with the first connection.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from andon.errors import BackendError, ConfigurationError, SettingsError
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


class Reply:
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


class HTTPResponse(Reply):
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
        except httpx_exceptions() as error:
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


class HTTPConnection:
    """Connections that are kept and used again, for any number of threads.

    :param settings: how to connect.
    :raises SettingsError: the file of certificates or the proxy cannot be used.
    """

    def __init__(self, settings: ConnectionSettings | None = None) -> None:
        library = httpx_library()
        options = httpx_options(settings or ConnectionSettings())
        self._transport: httpx2.HTTPTransport = open_transport(library.HTTPTransport, options)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> HTTPResponse:
        """Send a request; return the reply as soon as its head is there.

        :raises TransportError: there is no connection, or it broke.
        :raises RequestTimeout: it took longer than it may.
        """
        waits = Waits(timeouts, url)
        try:
            request = httpx_request(method, url, headers, body, waits)
            return HTTPResponse(self._transport.handle_request(request), waits)
        except httpx_exceptions() as error:
            raise waits.explain(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


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
def httpx_library() -> Any:
    """Import httpx2.

    :raises ConfigurationError: it is not installed.
    """
    try:
        import httpx2
    except ImportError as error:
        raise ConfigurationError(
            "backends over HTTP need httpx2: pip install 'andon[http]'"
        ) from error
    return httpx2


@lru_cache(maxsize=1)
def httpx_exceptions() -> tuple[type[Exception], ...]:
    """Return what a request can raise: httpx2's errors, and those that it lets pass."""
    library = httpx_library()
    # OSError: a proxy's or resolver's error that httpx2 does not translate.
    kinds = (library.HTTPError, library.StreamError, library.InvalidURL, library.CookieConflict)
    return (*kinds, OSError)


@lru_cache(maxsize=256)
def _parse(url: str) -> httpx2.URL:
    parsed: httpx2.URL = httpx_library().URL(url)
    return parsed


def httpx_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, waits: Waits
) -> httpx2.Request:
    """Return a request as httpx2 sends it."""
    request: httpx2.Request = httpx_library().Request(
        method,
        _parse(url),
        headers={"accept-encoding": "gzip, deflate", **headers},
        content=body,
        extensions=waits.extension(),
    )
    return request


def httpx_options(settings: ConnectionSettings) -> dict[str, Any]:
    """Return what a transport of httpx2 is made with."""
    limits = httpx_library().Limits(
        max_connections=None, max_keepalive_connections=settings.keep_alive, keepalive_expiry=30.0
    )
    verify = ssl_context(settings.ca_file, tls=settings.tls)
    return {"verify": verify, "trust_env": False, "proxy": settings.proxy, "limits": limits}


@lru_cache(maxsize=16)
def ssl_context(ca_file: str | None, *, tls: bool) -> ssl.SSLContext:
    """Return which certificates to trust.

    :param ca_file: a file of certificates, or None for the system's.
    :param tls: whether any are needed.
    :raises SettingsError: the file cannot be used.
    """
    if tls and ca_file is None:
        context: ssl.SSLContext = httpx_library().create_ssl_context(trust_env=False)
        return context
    import ssl

    if not tls:
        # Trusts no certificate at all, so it is of no use to anybody, and safe.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ca_file {ca_file!r} cannot be used: {error}") from error


def open_transport(transport: Any, options: dict[str, Any]) -> Any:
    """Make a transport of httpx2.

    :param transport: its class.
    :param options: what it is made with.
    :raises SettingsError: the proxy cannot be used.
    """
    try:
        return transport(**options)
    except (ValueError, ImportError) as error:
        # Not the error's own text: it may repeat the proxy's password.
        raise SettingsError(
            "proxy must be a URL like http://host:port, or socks5:// with socksio installed"
        ) from error
