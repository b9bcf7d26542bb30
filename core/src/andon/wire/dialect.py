"""The contract of a wire protocol: four pure functions, which never send anything themselves.

A dialect *encodes* a request, *decodes* a whole reply, *feeds* on the bytes of a stream, and
*explains* an error. :class:`andon.backends.http_backend.HTTPBackend` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCall:
    """A request as it goes over the wire, but for its base URL and its credentials.

    :param path: what is appended to the endpoint's base URL, with its leading slash.
    :param body: the bytes to send.
    :param method: the HTTP method.
    :param headers: headers besides those of the endpoint, names in lower case.
    """

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPReply:
    """A reply that arrived whole.

    :param status: the HTTP status.
    :param headers: the headers, names in lower case.
    :param body: the bytes; of a reply that is too large, its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamDecoder(Protocol):
    """Reads one stream. However its bytes are cut, it gives the same deltas."""

    @property
    def done(self) -> bool:
        """Whether the protocol's own end has come, so that nothing more is waited for."""
        ...

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        """Return the deltas that the next bytes complete.

        :raises BackendError: the stream carries an error, or what no such stream carries.
        """
        ...

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the protocol's own end is missing.
        """
        ...


class Dialect(Protocol):
    """A wire protocol."""

    def encode(self, request: ChatRequest) -> HTTPCall:
        """Return the call that asks for an answer, streamed if the request wants it in pieces.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        ...

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer as deltas; the last has the finish reason and the usage.

        :raises BackendError: the reply is no answer.
        """
        ...

    def decoder(self, headers: Mapping[str, str]) -> StreamDecoder:
        """Return what reads a stream that came with these headers."""
        ...

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        ...
