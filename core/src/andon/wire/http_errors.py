"""What goes wrong on the wire, before it is one of andon's errors.

The names are those of httpx2's exceptions, so that one table (:data:`andon.wire.waits.ERRORS`)
says what becomes of both.
"""

from __future__ import annotations


class WireError(Exception):
    """The root of what our own transport raises."""


class ConnectError(WireError):
    """There is no connection."""


class ConnectTimeout(WireError):
    """There is no connection yet, and that took too long."""


class ReadTimeout(WireError):
    """Nothing came for too long."""


class WriteTimeout(WireError):
    """The request could not be sent in time."""


class LocalProtocolError(WireError):
    """The request is not valid HTTP; nothing was sent."""


class RemoteProtocolError(WireError):
    """The reply broke off, or is not valid HTTP."""


class EndedWhileIdle(RemoteProtocolError):
    """The server had ended the connection before it was used again; nothing was sent."""


class DecodingError(WireError):
    """The reply's compression is damaged, or one that was not asked for."""
