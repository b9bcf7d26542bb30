"""One answer of an engine: from the bytes of its tokens to the deltas that a client reads."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

from andon.backends.engine import GenerateOptions
from andon.backends.prompt import CALL_BEGIN, CALL_END, Prompt
from andon.chat import ChatDelta, FinishReason, ToolCallDelta, Usage
from andon.messages import ToolCall
from andon.stop_texts import StopScanner
from andon.templates import ToolCallParser


class Watch:
    """Tells an engine when to stop before its own end.

    :param cancelled: whether nobody wants the answer any more; None where nobody can say so.
    :param clock: the time in seconds.
    :param deadline: the time at which the answer must be there, or None.
    :param first_by: the time at which its first token must be there, or None.
    """

    __slots__ = ("_cancelled", "_clock", "_deadline", "_whole", "fired")

    def __init__(
        self,
        cancelled: Callable[[], bool] | None,
        clock: Callable[[], float],
        deadline: float | None,
        first_by: float | None = None,
    ) -> None:
        self._cancelled = cancelled
        self._clock = clock
        self._whole = float("inf") if deadline is None else deadline
        self._deadline = self._whole if first_by is None else min(first_by, self._whole)
        #: Whether the engine was told to stop.
        self.fired = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        if self._clock() >= self._deadline or (self._cancelled is not None and self._cancelled()):
            self.fired = True
        return self.fired

    def note_first_token(self) -> None:
        """Note that the first token is there: from now on only the whole answer is waited for."""
        self._deadline = self._whole

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, or None without one."""
        return None if self._deadline == float("inf") else self._deadline - self._clock()

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._deadline


class Answer:
    """Reads one answer of an engine.

    :param prompt: what is answered.
    :param options: how the engine generates.
    :param watch: when to stop early.
    """

    def __init__(self, prompt: Prompt, options: GenerateOptions, watch: Watch) -> None:
        self._prompt = prompt
        self._options = options
        self._watch = watch
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stop = StopScanner(prompt.stop)
        self._parser = ToolCallParser() if prompt.tool_calls else None
        self._calls = 0
        self._tokens = 0

    def read(self, tokens: Iterator[bytes]) -> Iterator[ChatDelta]:
        """Give deltas as tokens come; the last has no finish reason where the watch fired."""
        if self._prompt.forced_call:
            yield from self._deltas(CALL_BEGIN)
        decode, scan, watch, stop = self._decode, self._stop.feed, self._watch, self._stop
        plain = self._parser is None
        for data in tokens:
            self._tokens += 1
            if text := scan(decode(data)):
                if plain:
                    yield ChatDelta(text)
                else:
                    yield from self._deltas(text)
            if stop.found is not None or watch():
                break
        if not self._watch.fired:
            yield from self._flush()

    def finish(self, model: str, cached: int) -> ChatDelta:
        """Return the last delta, which says why the answer ended and what it used."""
        reason, raw = self._reason()
        return ChatDelta(
            finish_reason=reason,
            raw_finish_reason=raw,
            usage=Usage(
                input_tokens=len(self._prompt.tokens),
                # The token that ended the answer was generated like the others.
                output_tokens=self._tokens + (raw == "end_of_generation"),
                cached_input_tokens=cached,
            ),
            model=model,
        )

    def _reason(self) -> tuple[FinishReason, str]:
        reason, raw = FinishReason.STOP, "end_of_generation"
        if self._stop.found is not None:
            raw = "stop_text"
        elif self._tokens >= self._options.max_tokens:
            return FinishReason.LENGTH, "max_tokens"
        return (FinishReason.TOOL_CALLS if self._calls else reason), raw

    def _flush(self) -> Iterator[ChatDelta]:
        if self._stop.found is None:
            rest = self._stop.feed(self._decode(b"", True)) + self._stop.finish()
            if rest:
                yield from self._deltas(rest)
        if self._parser is not None:
            if self._prompt.forced_call and self._reason()[0] is not FinishReason.LENGTH:
                yield from self._deltas(CALL_END)
            yield from map(self._delta, self._parser.finish())

    def _deltas(self, text: str) -> Iterator[ChatDelta]:
        if self._parser is None:
            yield ChatDelta(text=text)
        else:
            yield from map(self._delta, self._parser.feed(text))

    def _delta(self, piece: str | ToolCall) -> ChatDelta:
        if isinstance(piece, str):
            return ChatDelta(text=piece)
        index = self._calls
        self._calls += 1
        return ChatDelta(tool_calls=(ToolCallDelta(index, piece.id, piece.name, piece.arguments),))
