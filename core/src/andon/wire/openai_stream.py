"""Streams in the form of OpenAI's Chat Completions: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, Usage
from andon.errors import BackendError, StreamInterrupted
from andon.wire.dialect import StreamDecoder
from andon.wire.openai_decode import (
    SHAPE_ERRORS,
    ToolCalls,
    calls_of,
    name_of,
    read_finish,
    read_json,
    reasoning_of,
    text_of,
    usage_of,
)
from andon.wire.openai_errors import explain_event
from andon.wire.openai_quirks import Quirks
from andon.wire.problems import malformed, request_id
from andon.wire.sse import SSEDecoder


class OpenAIStreamDecoder(StreamDecoder):
    """Reads one stream of chunks.

    The finish reason is held back until the usage, ``[DONE]`` or the end of the stream has come,
    for most servers send the usage after it.

    An error that follows deltas in the same bytes is raised by the next call, so that the deltas
    are not lost.

    :param quirks: what the server does in its own way.
    :param headers: the headers that the stream came with.
    """

    def __init__(self, quirks: Quirks, headers: Mapping[str, str]) -> None:
        self._quirks = quirks
        self._headers = headers
        self._sse = SSEDecoder()
        self._calls = ToolCalls()
        self._model: str | None = None
        self._id = request_id(headers)
        self._started = False
        self._refused = False
        self._finished = False
        self._raw_finish: str | None = None
        self._usage: Usage | None = None
        #: Whether the answer is complete: nothing that may follow belongs to it.
        self.done = False
        self._error: BackendError | None = None

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        """Return the deltas that the next bytes complete.

        :raises BackendError: the stream carries an error, or what no such stream carries.
        """
        if self._error is not None:
            raise self._error
        deltas: list[ChatDelta] = []
        try:
            for event in self._sse.feed(data):
                if self.done:
                    break
                self._event(event.name, event.data, deltas)
        except BackendError as error:
            self._error = self._identified(error)
            if not deltas:
                raise
        return deltas

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the stream's own end is missing.
        """
        if self._error is not None:
            raise self._error
        deltas: list[ChatDelta] = []
        try:
            for event in self._sse.finish():
                if not self.done:
                    self._event(event.name, event.data, deltas)
            if not self.done:
                if self._finished and self._quirks.done_required:
                    raise StreamInterrupted("the stream ended without [DONE]")
                self._end(deltas)
        except BackendError as error:
            self._error = self._identified(error)
            raise
        return deltas

    def _event(self, name: str, data: str, deltas: list[ChatDelta]) -> None:
        if data.startswith("[DONE]"):
            self._end(deltas)
            return
        if name == "ping" or not data:
            return
        try:
            chunk = read_json(data)
        except ValueError:
            if name == "error":
                raise explain_event(data, self._headers) from None
            raise malformed("JSON", data) from None
        if name == "error":
            raise explain_event(chunk, self._headers)
        try:
            self._chunk(chunk, deltas)
        except SHAPE_ERRORS as error:
            raise malformed("chunk of an answer", data) from error

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        if chunk.get("error") or chunk.get("object") == "error":
            raise explain_event(chunk, self._headers)
        choices = chunk.get("choices")
        if choices:
            choice = choices[0]
            finish, delta = choice.get("finish_reason"), choice.get("delta") or {}
            # Nearly every chunk of a long answer is text and nothing else.
            if self._started and not finish and len(delta) == 1 and not chunk.get("usage"):
                text = delta.get("content")
                if text and type(text) is str and "x_groq" not in chunk:
                    deltas.append(ChatDelta(text))
                    return
            self._piece(chunk, choice, delta, deltas)
            if finish:
                self._finished, self._raw_finish = True, name_of(finish)
        self._note(chunk, deltas)

    def _piece(
        self,
        chunk: dict[str, Any],
        choice: dict[str, Any],
        delta: dict[str, Any],
        deltas: list[ChatDelta],
    ) -> None:
        self._model = self._model or name_of(chunk.get("model"))
        self._id = self._id or name_of(chunk.get("id"))
        text = text_of(delta.get("content") or choice.get("text"))
        if refusal := text_of(delta.get("refusal")):
            self._refused = True
            text += refusal
        reasoning = reasoning_of(delta)
        calls = self._calls.read(calls_of(delta))
        if not (text or reasoning or calls):
            return
        if self._started:
            deltas.append(ChatDelta(text, reasoning, calls))
            return
        # The first one tells who answers, for answers that never reach their end.
        self._started = True
        deltas.append(ChatDelta(text, reasoning, calls, model=self._model, request_id=self._id))

    def _note(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        groq = chunk.get("x_groq")
        if groq and groq.get("error"):
            raise explain_event(groq, self._headers)
        usage = usage_of(chunk)
        if usage is not None:
            self._usage = usage
            if self._finished:
                self._end(deltas)

    def _end(self, deltas: list[ChatDelta]) -> None:
        if not self._finished:
            raise StreamInterrupted("the stream ended without its finish reason")
        reason = read_finish(self._raw_finish, calls=bool(self._calls), refused=self._refused)
        deltas.append(
            ChatDelta(
                tool_calls=self._calls.missing_ids(),
                finish_reason=reason,
                raw_finish_reason=self._raw_finish,
                usage=self._usage,
                model=self._model,
                request_id=self._id,
            )
        )
        self.done = True

    def _identified(self, error: BackendError) -> BackendError:
        error.request_id = error.request_id or self._id
        return error
