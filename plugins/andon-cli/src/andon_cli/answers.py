"""An answer on its way to the reader."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Event, Thread
from threading import enumerate as all_threads
from typing import TYPE_CHECKING, Self, TextIO, TypeAlias

import click

from andon_cli.failures import note
from andon_cli.terminal import is_styled, is_terminal, safe, style

if TYPE_CHECKING:
    from andon.chat import ChatDelta, ChatResponse
    from andon.response_stream import ResponseStream

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
    """

    def __init__(self, out: TextIO, *, waiting: bool = False) -> None:
        self._out = out
        self._terminal = is_terminal(out)
        self._waiting = waiting and is_styled(out)
        self._thinking = False
        self.text = ""
        if self._waiting:
            self._write(style("…", out, dim=True))

    def add(self, delta: ChatDelta) -> None:
        """Write the next piece. Thoughts are shown on a terminal only, dimmed."""
        if delta.reasoning and self._terminal:
            self._clear()
            self._thinking = True
            self._write(style(safe(delta.reasoning), self._out, dim=True))
        if delta.text:
            self._clear()
            if self._thinking:
                self._thinking = False
                self._write("\n\n")
            self.text += delta.text
            self._write(safe(delta.text) if self._terminal else delta.text)

    def end_line(self) -> None:
        """End the line that the answer has begun."""
        self._clear()
        if self._thinking or (self.text and not self.text.endswith("\n")):
            self._write("\n")

    def _clear(self) -> None:
        if self._waiting:
            self._waiting = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def print_answer(stream: ResponseStream, *, end_line: bool) -> None:
    """Print an answer as it arrives.

    :param stream: the answer.
    :param end_line: whether its last line is ended even where nobody but a program reads it.
    """
    writer = AnswerWriter(sys.stdout, waiting=True)
    with LiveAnswer(stream) as answer:
        try:
            for delta in answer:
                writer.add(delta)
        finally:
            if end_line or is_terminal(sys.stdout):
                writer.end_line()
    note_cut(answer.response)


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
    usage = response.usage
    return {
        "backend": response.backend,
        "model": response.model,
        "text": response.text,
        "reasoning": response.message.reasoning,
        "finish_reason": response.finish_reason.value,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "estimated": usage.estimated,
        },
        "cost_usd": format(response.cost_usd, "f"),
        "attempts": [
            {
                "backend": attempt.backend,
                "model": attempt.model,
                "error": None if attempt.error is None else str(attempt.error),
            }
            for attempt in response.attempts
        ],
        "request_id": response.request_id,
    }
