"""Streams in the form of Anthropic's Messages: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from andon.chat import ChatDelta
from andon.errors import BackendError, StreamInterrupted
from andon.wire.anthropic_decode import NOTHING, Content, read_finish, read_usage
from andon.wire.anthropic_errors import explain_event, is_error
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, name_of, read_json
from andon.wire.problems import malformed, request_id
from andon.wire.sse import Event, SSEDecoder


class AnthropicStreamDecoder(ItemStreamDecoder[Event]):
    """Reads one stream of named events; only ``message_stop`` is its end.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(SSEDecoder())
        self._headers = headers
        self._content = Content()
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self._id = request_id(headers)
        self._raw_finish: str | None = None
        self._started = False

    def _item(self, item: Event, deltas: list[ChatDelta]) -> None:
        name, data = item.name, item.data
        if name == "ping" or not data:
            return
        try:
            value = read_json(data)
        except ValueError:
            if name == "error":
                raise explain_event(data, self._headers) from None
            raise malformed("JSON", data) from None
        if name == "error":
            raise explain_event(value, self._headers)
        try:
            delta = self._read(value)
        except (*SHAPE_ERRORS, RecursionError) as error:
            raise malformed("event of an answer", data) from error
        if delta is not NOTHING:
            deltas.append(delta if self._started else self._first(delta))

    def _read(self, event: Mapping[str, Any]) -> ChatDelta:
        match event.get("type"):
            case "content_block_delta":
                return self._content.extend(event["index"], event["delta"])
            case "content_block_start":
                return self._content.start(event["index"], event["content_block"])
            case "content_block_stop":
                return self._content.stop(event["index"])
            case "message_start":
                message = event["message"]
                self._model = name_of(message.get("model"))
                self._id = self._id or name_of(message.get("id"))
                self._count(message.get("usage"))
            case "message_delta":
                self._raw_finish = name_of(event["delta"].get("stop_reason")) or self._raw_finish
                self._count(event.get("usage"))
            case "message_stop":
                return self._end()
            case _ if is_error(event):
                raise explain_event(event, self._headers)
        # A ping, or an event that a later day has invented.
        return NOTHING

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        # Each is a total; what an event leaves out or calls null stands as it was.
        counts = (usage or {}).items()
        self._usage |= {name: count for name, count in counts if count is not None}

    def _first(self, delta: ChatDelta) -> ChatDelta:
        # It tells who answers, for answers that never reach their end.
        self._started = True
        return replace(delta, model=self._model, request_id=self._id)

    def _end(self) -> ChatDelta:
        if self._raw_finish is None:
            raise StreamInterrupted("the stream ended without its stop reason")
        self.done = True
        return ChatDelta(
            tool_calls=self._content.close(),
            finish_reason=read_finish(self._raw_finish),
            raw_finish_reason=self._raw_finish,
            usage=read_usage(self._usage),
            model=self._model,
            request_id=self._id,
            provider_state=self._content.state(),
        )

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without message_stop")

    def _identified(self, error: BackendError) -> BackendError:
        error.request_id = error.request_id or self._id
        return error
