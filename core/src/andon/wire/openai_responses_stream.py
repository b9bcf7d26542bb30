"""Streams in the form of OpenAI's Responses: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon.chat import ChatDelta, ToolCallDelta
from andon.errors import StreamInterrupted
from andon.wire.json_values import name_of
from andon.wire.openai_errors import explain_event
from andon.wire.openai_events import OpenAIEventDecoder
from andon.wire.openai_logprobs import read_rows
from andon.wire.openai_responses_decode import (
    PART_BREAK,
    check_response,
    read_finish,
    read_usage,
)
from andon.wire.openai_responses_items import keep_state

_TEXT = {"response.output_text.delta", "response.refusal.delta"}
_THOUGHTS = {
    "response.reasoning_summary_text.delta": "summary_index",
    "response.reasoning_text.delta": "content_index",
}
_BEGUN = {"response.created", "response.queued", "response.in_progress"}
_ENDED = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


@dataclass(slots=True)
class _Call:
    place: int
    sent: int = 0


class ResponsesStreamDecoder(OpenAIEventDecoder):
    """Reads one stream of a response's events.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._calls: dict[int, _Call] = {}
        self._texts: dict[int, int] = {}  # how many characters of each item were given
        self._thought: tuple[Any, ...] = ()  # the part of the thoughts that came last
        self._items: dict[int, dict[str, Any]] = {}

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        kind = chunk.get("type")
        if kind in _TEXT:
            self._text(chunk["output_index"], _text(chunk["delta"]), chunk, deltas)
        elif kind in _THOUGHTS:
            self._think((kind, chunk["output_index"], chunk.get(_THOUGHTS[kind])), chunk, deltas)
        elif kind == "response.function_call_arguments.delta":
            self._arguments(chunk["output_index"], _text(chunk["delta"]), deltas)
        elif kind == "response.output_item.added":
            self._begin_call(chunk["output_index"], chunk["item"], deltas)
        elif kind == "response.output_item.done":
            self._complete(chunk["output_index"], chunk["item"], deltas)
        elif kind in _BEGUN:
            self._note(chunk["response"])
        elif kind in _ENDED:
            self._end(check_response(chunk["response"]), deltas)
        elif kind == "error" or chunk.get("error"):
            raise explain_event(chunk, self._headers)

    def _text(self, index: int, text: str, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        self._texts[index] = self._texts.get(index, 0) + len(text)
        self._give(deltas, text, logprobs=read_rows(chunk.get("logprobs") or ()))

    def _think(self, part: tuple[Any, ...], chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        thought = _text(chunk["delta"])
        if not thought:
            return
        gap = PART_BREAK if self._thought and self._thought != part else ""
        self._thought = part
        self._give(deltas, reasoning=gap + thought)

    def _begin_call(self, index: int, item: dict[str, Any], deltas: list[ChatDelta]) -> None:
        if item.get("type") != "function_call" or index in self._calls:
            return
        call = self._calls[index] = _Call(len(self._calls))
        name, identifier = _text(item["name"]), _text(item["call_id"])
        self._give(deltas, calls=(ToolCallDelta(call.place, identifier, name),))
        self._arguments(index, _text(item.get("arguments") or ""), deltas)

    def _arguments(self, index: int, text: str, deltas: list[ChatDelta]) -> None:
        call = self._calls[index]
        call.sent += len(text)
        if text:
            self._give(deltas, calls=(ToolCallDelta(call.place, arguments=text),))

    def _complete(self, index: int, item: dict[str, Any], deltas: list[ChatDelta]) -> None:
        """Keep an item, and give what of it did not come in pieces."""
        self._items[index] = item
        if item.get("type") == "function_call":
            self._begin_call(index, item, deltas)
            arguments = _text(item.get("arguments") or "")
            self._arguments(index, arguments[self._calls[index].sent :], deltas)
        elif item.get("type") == "message":
            parts = item.get("content") or ()
            text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
            self._text(index, text[self._texts.get(index, 0) :], {}, deltas)

    def _note(self, response: Mapping[str, Any]) -> None:
        self._model = name_of(response.get("model")) or self._model
        self._id = self._id or name_of(response.get("id"))

    def _end(self, response: Mapping[str, Any], deltas: list[ChatDelta]) -> None:
        self._note(response)
        items = [self._items[index] for index in sorted(self._items)]
        output = response.get("output") or items
        if not self._started:
            # A server that streams nothing but the end.
            for index, item in enumerate(output):
                self._complete(index, item, deltas)
        reason, raw = read_finish({**response, "output": output}, self._headers)
        deltas.append(
            ChatDelta(
                finish_reason=reason,
                raw_finish_reason=raw,
                usage=read_usage(response.get("usage")),
                model=self._model,
                request_id=self._id,
                provider_state=keep_state(output),
            )
        )
        self.done = True

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without response.completed")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a text is none")
