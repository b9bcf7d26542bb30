"""What the streams of OpenAI's two protocols have in common: from bytes to JSON events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.chat import ChatDelta, TokenLogprob, ToolCallDelta
from andon.errors import BackendError
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, read_json
from andon.wire.openai_errors import explain_event
from andon.wire.problems import malformed, request_id
from andon.wire.sse import Event, SSEDecoder


class OpenAIEventDecoder(ItemStreamDecoder[Event]):
    """Reads one stream of events; what a chunk means is for its subclasses to say.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(SSEDecoder())
        self._headers = headers
        self._model: str | None = None
        self._id = request_id(headers)
        self._started = False

    def _item(self, item: Event, deltas: list[ChatDelta]) -> None:
        name, data = item.name, item.data
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
