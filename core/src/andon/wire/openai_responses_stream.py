"""Streams in the form of OpenAI's Responses: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon.chat import ChatDelta, ToolCallDelta
from andon.errors import BackendError, StreamInterrupted
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
from andon.wire.sse import SSEDecoder

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
    """Reads one stream of a response's events, over as many connections as it takes.

    :param headers: the headers that the stream came with.
    :param include: what was asked for besides, and must be asked for again.
    """

    def __init__(self, headers: Mapping[str, str], include: tuple[str, ...] = ()) -> None:
        super().__init__(headers)
        self.include = include
        #: The response's id, once it has come.
        self.response: str | None = None
        #: The number of the last of its events.
        self.number: int | None = None
        self._known: int | None = None  # that number, when the connection was made anew
        self._calls: dict[int, _Call] = {}
        self._texts: dict[int, int] = {}  # how many characters of each item were given
        self._thought: tuple[Any, ...] = ()  # the part of the thoughts that came last
        self._items: dict[int, dict[str, Any]] = {}

    def rejoined(self) -> ResponsesStreamDecoder:
        """Return the decoder, prepared to read on over another connection."""
        # An event that was cut comes again as a whole.
        self._splitter = SSEDecoder()
        self._known = self.number
        return self

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        kind = chunk.get("type")
        number = chunk.get("sequence_number")
        # Signs of life ("keepalive") are numbered as well, and are not kept.
        if type(number) is int and type(kind) is str and kind.startswith("response."):
            if self._known is not None and number <= self._known:
                return  # told again by a server that begins at the beginning
            self.number = number
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
            self._arguments(index, self._rest(arguments, self._calls[index].sent), deltas)
        elif item.get("type") == "message":
            parts = item.get("content") or ()
            text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
            self._text(index, self._rest(text, self._texts.get(index, 0)), {}, deltas)

    def _rest(self, text: str, given: int) -> str:
        """Return what of a text did not come in pieces.

        :raises BackendError: some of them were lost between two connections.
        """
        if self._known is not None and 0 < given < len(text):
            raise BackendError(
                f"the server went on with the stream and left {len(text) - given} characters out"
            )
        return text[given:]

    def _note(self, response: Mapping[str, Any]) -> None:
        self._model = name_of(response.get("model")) or self._model
        self.response = name_of(response.get("id"))
        self._id = self._id or self.response

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
