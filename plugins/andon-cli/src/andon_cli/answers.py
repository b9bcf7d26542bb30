"""An answer on its way to the reader."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Event, Thread
from threading import enumerate as all_threads
from typing import TYPE_CHECKING, Self, TextIO, TypeAlias

import click

from andon_cli.failures import note
from andon_cli.terminal import can_redraw, is_styled, is_terminal, safe, style

if TYPE_CHECKING:
    from andon.chat import ChatDelta, ChatResponse, Failover, Usage
    from andon.response_stream import ResponseStream
    from andon_cli.markdown import LiveMarkdown

#: How long a stopped answer is waited for. An engine stops after its next token; a silent server
#: may take longer, and is left to itself.
PATIENCE_SECONDS = 2.0

#: Name of the threads that read answers.
_THREAD = "andon answer"

_Item: TypeAlias = "ChatDelta | BaseException | None"


class LiveAnswer(AbstractContextManager["LiveAnswer"]):
    """A stream that is read in a thread of its own, so that ctrl-c is heard at any time.

    In the main thread ctrl-c would be lost inside the callbacks of a native engine, and would
    tear the request's way through andon anywhere else.

    :param stream: the stream.
    """

    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream
        self._items: SimpleQueue[_Item] = SimpleQueue()
        self._stopped = Event()
        self._thread = Thread(target=self._read, name=_THREAD, daemon=True)

    def __iter__(self) -> Iterator[ChatDelta]:
        self._thread.start()
        while (item := self._next()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _next(self) -> _Item:
        while True:
            try:
                # With a timeout, since Windows hears ctrl-c only between two waits.
                return self._items.get(timeout=0.2)
            except Empty:
                continue

    def _read(self) -> None:
        try:
            with self._stream:
                for delta in self._stream:
                    self._items.put(delta)
                    if self._stopped.is_set():
                        break
        except BaseException as error:  # noqa: BLE001  (raised again in the reader's thread)
            self._items.put(error)
        finally:
            self._items.put(None)

    @property
    def pending(self) -> bool:
        """Whether another piece has arrived already."""
        return not self._items.empty()

    @property
    def response(self) -> ChatResponse:
        """The whole answer, once every piece has arrived."""
        return self._stream.response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_SECONDS)


def still_reading() -> bool:
    """Return whether an answer is being read that was stopped in vain."""
    return any(thread.name == _THREAD for thread in all_threads())


class AnswerWriter:
    """Writes an answer to a stream, piece by piece; keeps what it wrote.

    :param out: where to.
    :param waiting: whether to show a sign of life until the first piece, on a terminal.
    :param raw: whether Markdown is shown as it came, on a terminal too.
    """

    def __init__(self, out: TextIO, *, waiting: bool = False, raw: bool = False) -> None:
        self._out = out
        self._terminal = is_terminal(out)
        self._waiting = waiting and is_styled(out)
        self._thinking = False
        self._ended = False
        self._markdown: LiveMarkdown | None = None
        self.text = ""
        self.failovers: list[Failover] = []
        if can_redraw(out) and not raw:
            from andon_cli.markdown import LiveMarkdown

            self._markdown = LiveMarkdown(out)
        if self._waiting:
            self._write(style("…", out, dim=True))

    def add(self, delta: ChatDelta, *, more: bool = False) -> None:
        """Write the next piece. Thoughts are shown on a terminal only, dimmed.

        :param delta: the piece.
        :param more: whether another piece is there already, so that this one need not be shown.
        """
        if delta.failover is not None:
            self.failovers.append(delta.failover)
        if delta.reasoning and self._terminal:
            self._clear()
            self._pause()
            self._thinking = True
            self._write(style(safe(delta.reasoning), self._out, dim=True))
        if delta.text:
            self._clear()
            if self._thinking:
                self._thinking = False
                self._write("\n\n")
            self.text += delta.text
            if self._markdown is None:
                self._write(safe(delta.text) if self._terminal else delta.text)
            else:
                self._markdown.add(safe(delta.text))
        if self._markdown is not None and not more:
            self._markdown.paint()

    def end_line(self) -> None:
        """End the line that the answer has begun; a second time changes nothing."""
        self._clear()
        if self._ended:
            return
        self._ended = True
        if self._markdown is not None and self.text:
            self._markdown.end()
        elif self._thinking or (self.text and not self.text.endswith("\n")):
            self._write("\n")

    def _pause(self) -> None:
        """Leave the text so far as it is, since something else is written below it."""
        if self._markdown is not None and self.text and not self._thinking:
            self._markdown.end()
            self._write("\n")
            self._markdown = type(self._markdown)(self._out)

    def _clear(self) -> None:
        if self._waiting:
            self._waiting = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def print_answer(stream: ResponseStream, *, end_line: bool, raw: bool = False) -> None:
    """Print an answer as it arrives.

    :param stream: the answer.
    :param end_line: whether its last line is ended even where nobody but a program reads it.
    :param raw: whether Markdown is shown as it came, on a terminal too.
    """
    writer = AnswerWriter(sys.stdout, waiting=True, raw=raw)
    with LiveAnswer(stream) as answer:
        try:
            for delta in answer:
                writer.add(delta, more=answer.pending)
        finally:
            if end_line or is_terminal(sys.stdout):
                writer.end_line()
    for text in detours(answer.response, writer.failovers):
        note(text)
    note_cut(answer.response)


def detours(response: ChatResponse, failovers: Sequence[Failover]) -> list[str]:
    """Return, in words, who was asked besides whoever answered to the end.

    :param response: the answer.
    :param failovers: how it went on elsewhere in its middle.
    """
    broken = {(failover.from_backend, failover.from_model) for failover in failovers}
    passed_over = [
        f"{attempt.backend}:{attempt.model} failed ({_first_line(attempt.error)})"
        for attempt in response.attempts
        if attempt.error is not None and (attempt.backend, attempt.model) not in broken
    ]
    who = f"{response.backend}:{response.model}"
    told = [f"{'; '.join(passed_over)}; {who} answered"] if passed_over else []
    return told + [
        f"{failover.from_backend}:{failover.from_model} broke off; "
        f"{failover.backend}:{failover.model} went on"
        for failover in failovers
    ]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def note_cut(response: ChatResponse) -> None:
    """Say so where an answer is not complete."""
    reasons = {
        "length": "the answer was cut off at --max-tokens or at the end of the context window",
        "content_filter": "the answer was cut off by the provider's content filter",
    }
    if reason := reasons.get(response.finish_reason):
        note(reason)


def print_json(stream: ResponseStream) -> None:
    """Print a whole answer as JSON."""
    import json

    with LiveAnswer(stream) as answer:
        for _ in answer:
            pass
    click.echo(json.dumps(as_record(answer.response), ensure_ascii=False, indent=2))


def as_record(response: ChatResponse) -> dict[str, object]:
    """Return an answer as JSON has it; money is a text, since JSON's numbers are not exact."""
    return {
        "backend": response.backend,
        "model": response.model,
        "text": response.text,
        "reasoning": response.message.reasoning,
        "finish_reason": response.finish_reason.value,
        "usage": _usage(response.usage),
        "cost_usd": format(response.cost_usd, "f"),
        "attempts": [
            {
                "backend": attempt.backend,
                "model": attempt.model,
                "error": None if attempt.error is None else str(attempt.error),
                "usage": _usage(attempt.usage),
                "cost_usd": format(attempt.cost_usd, "f"),
            }
            for attempt in response.attempts
        ],
        "request_id": response.request_id,
    }


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "estimated": usage.estimated,
    }
