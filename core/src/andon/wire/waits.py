"""How long to wait for a server, and what the transports' errors mean. Nothing is sent here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon.errors import BackendError, PrivacyViolation, RequestTimeout, TransportError

#: Most bytes of a reply that is read whole.
MAX_BODY = 64 * 1024 * 1024

#: What becomes of an exception of httpx2's or of our own transport's, which bear the same names,
#: and what to do. The first that matches counts, so children come first.
ERRORS: Mapping[str, tuple[type[BackendError], str]] = {
    "ConnectTimeout": (TransportError, "no connection within {connect:g} s; is the server there?"),
    "PoolTimeout": (TransportError, "no free connection within {connect:g} s"),
    "WriteTimeout": (
        RequestTimeout,
        "the request could not be sent within {stall:g} s; a longer stall_timeout gives it more",
    ),
    "ReadTimeout": (
        RequestTimeout,
        "nothing came for {waited:g} s; a longer {setting} gives it more",
    ),
    "TimeoutException": (RequestTimeout, "it took too long"),
    "ConnectError": (TransportError, "no connection; does the server run, is base_url right?"),
    "ProxyError": (TransportError, "the proxy refused"),
    "UnsupportedProtocol": (TransportError, "the address cannot be used"),
    "DecodingError": (TransportError, "the reply's compression is damaged or unknown"),
    "RemoteProtocolError": (
        TransportError,
        "the server broke off or does not speak HTTP; is base_url right, http or https?",
    ),
    "LocalProtocolError": (TransportError, "the request is not valid HTTP, and was not sent"),
    "HTTPError": (TransportError, "the connection broke"),
    "StreamError": (TransportError, "the reply was closed"),
    "InvalidURL": (TransportError, "the address cannot be used"),
    "CookieConflict": (TransportError, "the reply's cookies contradict each other"),
    "TimeoutError": (
        RequestTimeout,
        "nothing came for {waited:g} s; a longer {setting} gives it more",
    ),
}


#: Seconds to wait for the end of a body that holds nothing more. It mostly comes at once, and the
#: connection can be used again; a server that keeps it open must not hold an answer up.
LINGER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait, in seconds; None is for ever.

    :param connect: for a connection.
    :param first_byte: for the reply's headers, and again for the first byte of its body.
    :param stall: between two pieces of the body.
    :param total: for everything together.
    :param deadline: the moment of ``time.monotonic()`` at which the total is over, where it
        began before this request: with an earlier attempt, say.
    """

    connect: float | None = 10.0
    first_byte: float | None = 600.0
    stall: float | None = 120.0
    total: float | None = None
    deadline: float | None = None


class Waits:
    """The clock of one request: how long its next step may take, and what a failure is called.

    :param limits: how long to wait for what.
    :param url: where the request goes, for messages.
    :param method: its method, for messages.
    """

    __slots__ = ("body", "deadline", "ending", "limits", "what")

    def __init__(self, limits: Timeouts, url: str, method: str = "") -> None:
        self.limits = limits
        self.what = f"{method} {url}" if method else url
        self.deadline = limits.deadline
        if limits.total is not None and self.deadline is None:
            self.deadline = time.monotonic() + limits.total
        self.body = False  # whether the first piece of the body has come
        self.ending = False  # whether nothing that matters is still to come

    def within(self, limit: float | None) -> float | None:
        """Return the limit, or what is left of the total where that is less."""
        if self.deadline is None:
            return limit
        # A timeout of 0 would mean "do not wait at all" to a socket, which is another error.
        left = max(self.deadline - time.monotonic(), 0.001)
        return left if limit is None else min(limit, left)

    def read(self) -> float | None:
        """Return how long the next read may take."""
        if self.ending:
            return LINGER
        return self.within(self.limits.stall if self.body else self.limits.first_byte)

    def pause(self) -> float | None:
        """Return how long the next piece of the request may take.

        :raises RequestTimeout: the total is over.
        """
        self.check()
        return self.within(self.limits.stall)

    def check(self) -> None:
        """Raise where the total is over before the answer is."""
        if self.over and not self.ending:
            raise self.too_late()

    @property
    def over(self) -> bool:
        """Whether the total is over, give or take what a timer may be early."""
        return self.deadline is not None and time.monotonic() >= self.deadline - 0.002

    def too_late(self) -> RequestTimeout:
        """Return the error for a total that is over."""
        return RequestTimeout(
            f"{self.what} did not finish within the timeout of {self.limits.total:g} s; "
            "a longer timeout= gives it more"
        )

    def extension(self) -> dict[str, Any]:
        """Return httpx2's own form of the timeouts, as they stand before sending."""
        limits = self.limits
        connect = self.within(limits.connect)
        times = {"connect": connect, "pool": connect, "read": self.read()}
        return {"timeout": {**times, "write": self.within(limits.stall)}}

    def explain(self, error: Exception) -> BackendError:
        """Return our error for one of a library's.

        :raises PrivacyViolation: the privacy guard stopped the connection.
        """
        _raise_if_blocked(error)
        if self.over:
            return self.too_late()
        limits = self.limits
        names = [kind.__name__ for kind in type(error).__mro__]
        kind, text = next((ERRORS[name] for name in names if name in ERRORS), ERRORS["HTTPError"])
        said = text.format(
            connect=limits.connect or 0,
            stall=limits.stall or 0,
            waited=(limits.stall if self.body else limits.first_byte) or 0,
            setting="stall_timeout" if self.body else "first_token_timeout",
        )
        detail = f" ({error})" if str(error) else ""
        return kind(f"{self.what}: {said}{detail}")


def _raise_if_blocked(error: BaseException | None) -> None:
    """Raise what the privacy guard raised, however deep a library has wrapped it."""
    while error is not None:
        if isinstance(error, PrivacyViolation):
            raise error
        error = error.__cause__ or error.__context__
