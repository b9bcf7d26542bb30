"""How a provider answers, byte by byte: what the conformance kit and the fixtures are made of.

For each wire protocol there is one :class:`Provider` in :mod:`andon.testing.providers`, which
writes a :class:`SampleAnswer` the way a real server of that protocol would. The official SDKs
parse what these write, so they are true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from andon.chat import FinishReason, TokenLogprob, Usage
from andon.messages import ToolCall
from andon.wire.dialect import HTTPReply


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleAnswer:
    """An answer that a provider is to write.

    :param text: its pieces, as they are streamed.
    :param reasoning: the pieces of the model's thoughts, which come first.
    :param tool_calls: the calls that it asks for, after the text.
    :param finish_reason: why it ends.
    :param usage: tokens used.
    :param model: the model's name.
    :param logprobs: one for each piece of the text, or none at all.
    """

    text: tuple[str, ...] = ("Hello", ", ", "wörld", "!")
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage = field(default_factory=lambda: Usage(12, 5))
    model: str = "sample-model"
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleStream:
    """A streamed answer.

    :param headers: the reply's headers, names in lower case.
    :param events: the bytes of each event (frame, line), in order, without the end.
    :param end: the bytes that are the protocol's own end: ``[DONE]``, a last event, the event
        with the finish reason. Without them the answer is a broken one.
    """

    headers: Mapping[str, str]
    events: Sequence[bytes]
    end: bytes

    @property
    def body(self) -> bytes:
        """All bytes of the stream."""
        return b"".join(self.events) + self.end


class Provider(Protocol):
    """Writes what a server of one wire protocol sends. It is pure: it opens nothing."""

    #: Which of the answer's parts the protocol can carry; a part that is missing here is not
    #: looked for: ``reasoning``, ``tools``, ``parallel_tools``, ``cached_usage``,
    #: ``cache_write_usage``, ``reasoning_usage``, ``logprobs``, ``stream_error``.
    abilities: frozenset[str]

    #: The finish reasons that the protocol can tell.
    finish_reasons: frozenset[FinishReason] = frozenset(FinishReason)

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        ...

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        ...

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        ...

    def error_code(self, status: int) -> str | None:
        """Return the provider's own code in :meth:`error`, or None where it does not matter."""
        return None

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream (with ``stream_error`` only)."""
        ...

    def models(self, names: Sequence[str]) -> HTTPReply | None:
        """Return the reply to a question for the models, or None where there is none."""
        ...

    def tokens(self, count: int) -> HTTPReply | None:
        """Return the reply to a question for a token count, or None where there is none."""
        ...

    def health(self) -> HTTPReply | None:
        """Return the reply of a server that is well, or None where any 200 means that."""
        return None

    def route(self, method: str, path: str, body: bytes, answer: SampleAnswer) -> HTTPReply | None:
        """Return the reply to a call that is part of a longer exchange, or None for others.

        Protocols whose answer takes several calls (create, poll, fetch) play them here; a
        streamed body is a reply as well. Most protocols have nothing to say.
        """
        return None
