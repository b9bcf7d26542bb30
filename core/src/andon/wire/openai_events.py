"""What the streams of OpenAI's two protocols have in common: from bytes to JSON events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, TokenLogprob, ToolCallDelta
from andon.errors import BackendError
from andon.wire.dialect import StreamDecoder
from andon.wire.openai_decode import SHAPE_ERRORS, read_json
from andon.wire.openai_errors import explain_event
from andon.wire.problems import malformed, request_id
from andon.wire.sse import SSEDecoder


class EventStreamDecoder(StreamDecoder):
    """Reads one stream of events; what an event means is for its subclasses to say.

    An error that follows deltas in the same bytes is raised by the next call, so that the deltas
    are not lost; as nothing more is waited for, that call comes at once.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._sse = SSEDecoder()
        self._model: str | None = None
        self._id = request_id(headers)
        self._started = False
        self._error: BackendError | None = None
        #: Whether the answer is complete, or has failed: nothing that may follow belongs to it.
        self.done = False

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
            self._error, self.done = self._identified(error), True
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
                self._broken_off(deltas)
        except BackendError as error:
            self._error = self._identified(error)
            raise
        return deltas

    def _event(self, name: str, data: str, deltas: list[ChatDelta]) -> None:
        if data.startswith("[DONE]"):
            self._done_mark(deltas)
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
        """Read an event; what is none raises one of SHAPE_ERRORS."""
        raise NotImplementedError

    def _done_mark(self, deltas: list[ChatDelta]) -> None:
        """Take note of ``[DONE]``."""

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        """Give the end of an answer whose own end is missing, or raise StreamInterrupted."""
        raise NotImplementedError

    def _give(
        self,
        deltas: list[ChatDelta],
        text: str = "",
        reasoning: str = "",
        calls: tuple[ToolCallDelta, ...] = (),
        logprobs: tuple[TokenLogprob, ...] = (),
    ) -> None:
        if not (text or reasoning or calls or logprobs):
            return
        if self._started:
            deltas.append(ChatDelta(text, reasoning, calls, logprobs=logprobs))
            return
        # The first one tells who answers, for answers that never reach their end.
        self._started = True
        model, identifier = self._model, self._id
        deltas.append(
            ChatDelta(text, reasoning, calls, model=model, request_id=identifier, logprobs=logprobs)
        )

    def _identified(self, error: BackendError) -> BackendError:
        error.request_id = error.request_id or self._id
        return error
