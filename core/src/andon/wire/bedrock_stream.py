"""Streams in the form of Bedrock's Converse: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from andon.chat import ChatDelta, Usage
from andon.errors import BackendError, StreamInterrupted
from andon.wire.bedrock_decode import NOTHING, Content, read_finish, read_model, read_usage
from andon.wire.bedrock_errors import explain_frame, explain_stop
from andon.wire.event_stream import EventStreamDecoder, Frame, HeaderValue
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, read_json, text_of
from andon.wire.problems import malformed, request_id

_EVENTS = frozenset(
    {"contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
)


class BedrockStreamDecoder(ItemStreamDecoder[Frame]):
    """Reads one stream of frames. ``messageStop`` ends the answer; the usage comes behind it.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(EventStreamDecoder())
        self._headers = headers
        self._id = request_id(headers)
        self._content = Content()
        self._raw_finish = ""
        self._usage: Usage | None = None
        self._model: str | None = None
        self._counted = False
        self._started = False

    def _item(self, item: Frame, deltas: list[ChatDelta]) -> None:
        delta = self._frame(item)
        if delta is not NOTHING:
            deltas.append(delta if self._started else self._first(delta))

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        if not self._raw_finish:
            raise StreamInterrupted("the stream ended without messageStop")
        # The answer is complete, though nobody told what it took.
        deltas.append(self._end())

    def _frame(self, frame: Frame) -> ChatDelta:
        if frame.headers.get(":message-type") in {"exception", "error"}:
            raise explain_frame(frame, self._headers)
        kind = frame.headers.get(":event-type")
        # The others tell nothing, or a later day has invented them.
        if kind not in _EVENTS:
            return NOTHING
        try:
            return self._event(kind, read_json(frame.payload))
        except (*SHAPE_ERRORS, RecursionError, ValueError) as error:
            raise malformed("event of an answer", frame.payload) from error

    def _event(self, kind: HeaderValue, event: Mapping[str, Any]) -> ChatDelta:
        match kind:
            case "contentBlockDelta":
                return self._content.extend(_index(event), event["delta"])
            case "contentBlockStart":
                return self._content.start(_index(event), event["start"])
            case "contentBlockStop":
                return self._content.stop(_index(event))
            case "messageStop":
                self._raw_finish = text_of(event["stopReason"])
                error = explain_stop(self._raw_finish, self._headers)
                if error is not None:
                    raise error
            case _:
                self._usage, self._model = read_usage(event.get("usage")), read_model(event)
                self._counted = True
        return self._end() if self._raw_finish and self._counted else NOTHING

    def _end(self) -> ChatDelta:
        self.done = True
        calls = self._content.calls > 0
        return ChatDelta(
            tool_calls=self._content.close(),
            finish_reason=read_finish(self._raw_finish, calls=calls),
            raw_finish_reason=self._raw_finish,
            usage=self._usage,
            model=self._model,
            request_id=self._id,
            provider_state=self._content.state(),
        )

    def _first(self, delta: ChatDelta) -> ChatDelta:
        # It tells the request's id, for answers that never reach their end.
        self._started = True
        return replace(delta, request_id=self._id)

    def _identified(self, error: BackendError) -> BackendError:
        error.request_id = error.request_id or self._id
        return error


def _index(event: Mapping[str, Any]) -> int:
    index = event["contentBlockIndex"]
    if type(index) is not int:
        raise TypeError("contentBlockIndex is no number")
    return index
