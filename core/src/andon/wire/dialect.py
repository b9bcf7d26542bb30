"""The contract of a wire protocol: pure functions, which never send anything themselves.

A dialect *encodes* a request, *decodes* a whole reply, *feeds* on the bytes of a stream, and
*explains* an error. :class:`andon.backends.http_backend.HTTPBackend` does the rest. What only
some protocols have (a list of models, a token count, an answer in several steps, a stream that
outlives its connection) has a default here that says no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError
from andon.specs import ModelCard, ModelProfile

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPCall:
    """A request as it goes over the wire, but for its base URL and its credentials.

    :param path: what is appended to the endpoint's base URL, with its leading slash; or a whole
        URL that the provider gave, at the endpoint's own host or one of its trusted hosts.
    :param body: the bytes to send.
    :param method: the HTTP method.
    :param headers: headers besides those of the endpoint, names in lower case.
    :param delay: seconds to wait before it is sent.
    :param undo: sent if the caller gives up while this call is under way, so that the provider
        stops working (and charging) as well.
    :param repeatable: whether it may be sent again where nothing tells what became of it; a
        reply that refuses it tells.
    :param decoder: makes what reads the reply as a stream, in place of the dialect's own: for
        streams that go on from what an earlier reply told, or from what the request asks.
    :param reader: reads the reply where it comes whole, in place of the dialect's own ``decode``.
    :param at_root: whether the path does not stand below the API's version: a ``/v1`` at the end
        of the base URL is left out.
    """

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    undo: HTTPCall | None = None
    repeatable: bool = True
    decoder: Callable[[Mapping[str, str]], StreamDecoder] | None = None
    reader: Callable[[HTTPReply], Sequence[ChatDelta]] | None = None
    at_root: bool = False


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


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A question to a server besides the chat: what to send, and how to read what comes back.

    :param call: what to send.
    :param read: reads a reply with a status below 300; it raises ValueError for another shape.
    """

    call: HTTPCall
    read: Callable[[HTTPReply], T]


class StreamDecoder(Protocol):
    """Reads one stream. However its bytes are cut, it gives the same deltas."""

    #: Whether the protocol's own end has come, so that nothing more is waited for.
    done: bool = False

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

    def follow_up(self) -> HTTPCall | None:
        """Return a call for what the finished stream left open, its usage say, or None."""
        return None

    def conclude(self, reply: HTTPReply | None) -> Sequence[ChatDelta]:
        """Return what the reply to :meth:`follow_up` adds; None where it could not be had."""
        return ()


class Dialect(Protocol):
    """A wire protocol."""

    def encode(self, request: ChatRequest, profile: ModelProfile) -> HTTPCall:
        """Return the call that asks for an answer, streamed if the request wants it in pieces.

        :param request: what to ask.
        :param profile: what is known of the model.
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

    def follow_up(self, request: ChatRequest, reply: HTTPReply) -> HTTPCall | None:
        """Return the next call where a reply is not the answer yet, or None where it is.

        :param request: what was asked.
        :param reply: a reply with a status below 300 that came whole.
        """
        return None

    def reconnect(self, decoder: StreamDecoder) -> HTTPCall | None:
        """Return the call that goes on with a stream whose connection broke, or None.

        For servers that keep a stream and generate on. The call's ``decoder`` reads on where this
        one stopped: it may be the same, made ready to drop the rest of an item that was cut. Its
        ``undo`` stops the server, and is sent when the caller leaves the stream, broken or not.

        :param decoder: what has read the stream so far; it knows the place.
        """
        return None

    def list_models(self) -> Query[Sequence[ModelCard]] | None:
        """Return how to ask which models there are, or None where one cannot."""
        return None

    def health(self) -> Query[None] | None:
        """Return how to ask whether the server can serve, or None where one cannot."""
        return None

    def slots(self) -> Query[int | None] | None:
        """Return how to ask how many requests are served at a time, or None where one cannot.

        What is read is None where the server cannot tell at this moment.
        """
        return None

    def count_tokens(self, request: ChatRequest, profile: ModelProfile) -> Query[int] | None:
        """Return how to ask for the tokens of a request's prompt, or None where one cannot."""
        return None
