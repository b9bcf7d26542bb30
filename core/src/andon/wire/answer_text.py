"""What is read out of an answer's text where the server leaves that to its callers.

Servers that complete raw text spell tool calls out in it, and some end it with the stop text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from andon.chat import ChatDelta, FinishReason, ToolCallDelta
from andon.messages import ToolCall
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, StreamDecoder


class AnswerText:
    """Takes stop texts and tool calls out of the deltas of one answer.

    :param stop: texts at which the answer ends; they are not part of it.
    :param calls: whether the text may spell tool calls out.
    """

    def __init__(self, stop: Sequence[str] = (), *, calls: bool = False) -> None:
        from andon.stop_texts import StopScanner
        from andon.templates import ToolCallParser

        self._stop = StopScanner(stop)
        self._parser = ToolCallParser() if calls else None
        self._calls = 0

    def read(self, deltas: Sequence[ChatDelta]) -> list[ChatDelta]:
        """Return the deltas that the next ones become."""
        return [new for delta in deltas for new in self._read(delta)]

    def _read(self, delta: ChatDelta) -> list[ChatDelta]:
        text, ended = self._stop.feed(delta.text), delta.finish_reason is not None
        if ended:
            text += self._stop.finish()
        if self._parser is None:
            changed = delta if text == delta.text else replace(delta, text=text)
            return [] if changed == _NOTHING else [changed]
        pieces = self._parser.feed(text) + (self._parser.finish() if ended else [])
        new = [self._delta(piece) for piece in pieces]
        rest = replace(delta, text="", finish_reason=self._reason(delta.finish_reason))
        return new if rest == _NOTHING else [*new, rest]

    def _reason(self, reason: FinishReason | None) -> FinishReason | None:
        return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and self._calls else reason

    def _delta(self, piece: str | ToolCall) -> ChatDelta:
        if isinstance(piece, str):
            return ChatDelta(piece)
        index = self._calls
        self._calls += 1
        return ChatDelta(tool_calls=(ToolCallDelta(index, piece.id, piece.name, piece.arguments),))


class AnswerTextDecoder(StreamDecoder):
    """Reads a stream through another decoder, and then its text.

    :param inner: reads the stream.
    :param text: reads the text.
    """

    def __init__(self, inner: StreamDecoder, text: AnswerText) -> None:
        self._inner = inner
        self._text = text

    @property
    def done(self) -> bool:  # type: ignore[override]
        """Whether the protocol's own end has come."""
        return self._inner.done

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        """Return the deltas that the next bytes complete.

        :raises BackendError: the stream carries an error, or what no such stream carries.
        """
        return self._text.read(self._inner.feed(data))

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the protocol's own end is missing.
        """
        return self._text.read(self._inner.finish())


def reading_text(
    call: HTTPCall, dialect: Dialect, *, stop: Sequence[str] = (), calls: bool = False
) -> HTTPCall:
    """Return a call whose answer is read through :class:`AnswerText`.

    :param call: the call, as the dialect wrote it.
    :param dialect: reads the answer first, where the call has no reader of its own.
    :param stop: texts at which the answer ends.
    :param calls: whether the text may spell tool calls out.
    """
    if not (stop or calls):
        return call
    inner: Callable[[Mapping[str, str]], StreamDecoder] = call.decoder or dialect.decoder
    whole: Callable[[HTTPReply], Sequence[ChatDelta]] = call.reader or dialect.decode
    return replace(
        call,
        decoder=lambda headers: AnswerTextDecoder(inner(headers), AnswerText(stop, calls=calls)),
        reader=lambda reply: AnswerText(stop, calls=calls).read(whole(reply)),
    )


def without_prefix(deltas: Sequence[ChatDelta], prefix: str) -> Sequence[ChatDelta]:
    """Return a whole answer without the text that it continues.

    :param deltas: the answer.
    :param prefix: what some servers repeat at its beginning, without spaces at its end or with.
    """
    for repeated in (prefix, prefix.rstrip()):
        if repeated and deltas and deltas[0].text.startswith(repeated):
            return (replace(deltas[0], text=deltas[0].text[len(repeated) :]), *deltas[1:])
    return deltas


_NOTHING = ChatDelta()
