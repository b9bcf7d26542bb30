"""Answers in the form of Bedrock's Converse, whole or in pieces, as pure functions."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from andon.chat import ChatDelta, FinishReason, ToolCallDelta, Usage
from andon.messages import ProviderState
from andon.wire.bedrock_replay import REPLAY
from andon.wire.block_replay import CALL, Piece
from andon.wire.json_values import text_of, token_count

#: What an event that tells nothing gives.
NOTHING = ChatDelta()

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
}


def read_finish(raw: str, *, calls: bool) -> FinishReason:
    """Return andon's word for why an answer ended; an unknown word is an ordinary end.

    :param raw: Bedrock's own word.
    :param calls: whether the answer calls tools; some models end such a one like any other.
    """
    reason = _REASONS.get(raw, FinishReason.STOP)
    return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and calls else reason


def read_usage(value: Any) -> Usage | None:
    """Return the tokens used, in andon's meaning, or None where there is no count.

    :param value: the ``usage`` object; its input tokens are those that no cache had to do with.
    """
    if not isinstance(value, Mapping) or not value:
        return None
    cached = _count(value, "cacheReadInputTokens")
    written = _count(value, "cacheWriteInputTokens")
    inputs = _count(value, "inputTokens") + cached + written
    return Usage(inputs, _count(value, "outputTokens"), cached, written)


def read_model(value: Mapping[str, Any]) -> str | None:
    """Return which model answered, where a prompt router chose it.

    :param value: a whole answer, or the event ``metadata``.
    """
    router = (value.get("trace") or {}).get("promptRouter") or {}
    return text_of(router.get("invokedModelId")) or None


def read_answer(body: Mapping[str, Any], identifier: str | None) -> ChatDelta:
    """Return a whole answer.

    :param body: the reply's JSON object.
    :param identifier: the request's id.
    """
    content = Content()
    deltas: list[ChatDelta] = []
    for index, block in enumerate(body["output"]["message"]["content"]):
        deltas += content.whole(index, block)
    raw = text_of(body["stopReason"])
    if not raw:
        raise TypeError("an answer tells why it ended")
    calls = [delta.tool_calls for delta in deltas if delta.tool_calls]
    return ChatDelta(
        text="".join(delta.text for delta in deltas),
        reasoning="".join(delta.reasoning for delta in deltas),
        tool_calls=_join(calls),
        finish_reason=read_finish(raw, calls=bool(calls)),
        raw_finish_reason=raw,
        usage=read_usage(body.get("usage")),
        model=read_model(body),
        request_id=identifier,
        provider_state=content.state(),
    )


def read_count(body: Mapping[str, Any]) -> int:
    """Return the number of tokens that were counted.

    :raises ValueError: there is none.
    """
    return token_count(body, "inputTokens")


@dataclass(slots=True)
class _Block:
    """A block of an answer in the making.

    :param kind: ``text``, ``reasoning`` or ``call``.
    :param place: a tool call's place among all calls.
    :param length: characters of text.
    :param texts: pieces of thoughts, or of a call's arguments.
    :param signature: pieces of the signature of thoughts.
    :param redacted: thoughts that only their provider can read.
    """

    kind: str
    place: int = 0
    length: int = 0
    texts: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    redacted: bytearray = field(default_factory=bytearray)


class Content:
    """The blocks of one answer, in their order."""

    def __init__(self) -> None:
        # A block of text or thoughts begins with its first piece. Some models give both the same
        # index, so that an index alone names none.
        self._blocks: dict[tuple[int, str], _Block] = {}
        #: How many tools are called.
        self.calls = 0

    def whole(self, index: int, value: Mapping[str, Any]) -> Sequence[ChatDelta]:
        """Add a whole block; one of an unknown kind is nothing.

        :param index: the block's place among all blocks.
        :param value: the block.
        """
        if "toolUse" in value:
            begun = self.start(index, value)
            arguments = _written(value["toolUse"]["input"]) if begun.tool_calls else ""
            return (begun, self._arguments(index, arguments))
        if "citationsContent" in value:
            pieces = value["citationsContent"].get("content") or ()
            return [self._text(index, text_of(piece.get("text"))) for piece in pieces]
        if "reasoningContent" in value:
            thought = value["reasoningContent"]
            return [self._thought(index, thought.get("reasoningText") or thought)]
        return [self.extend(index, value)]

    def start(self, index: int, value: Mapping[str, Any]) -> ChatDelta:
        """Begin a block; only calls say something at their beginning."""
        use = value.get("toolUse")
        # A call with a type is run by Bedrock itself.
        if use is None or use.get("type"):
            return NOTHING
        place, self.calls = self.calls, self.calls + 1
        identifier, name = text_of(use.get("toolUseId")), text_of(use["name"])
        self._blocks[index, "call"] = _Block("call", place)
        return ChatDelta(tool_calls=(ToolCallDelta(place, identifier or f"call_{place}", name),))

    def extend(self, index: int, delta: Mapping[str, Any]) -> ChatDelta:
        """Add a piece to a block; a piece of an unknown kind is nothing."""
        if "text" in delta:
            return self._text(index, text_of(delta["text"]))
        if "toolUse" in delta:
            return self._arguments(index, text_of(delta["toolUse"].get("input")))
        if "reasoningContent" in delta:
            return self._thought(index, delta["reasoningContent"])
        return NOTHING

    def stop(self, index: int) -> ChatDelta:
        """End a block: a call without arguments has been sent none."""
        block = self._blocks.get((index, "call"))
        return NOTHING if block is None or block.texts else self._arguments(index, "{}")

    def close(self) -> tuple[ToolCallDelta, ...]:
        """End the blocks that have not ended yet; return what that adds to calls."""
        return tuple(call for index, _ in self._blocks for call in self.stop(index).tool_calls)

    def state(self) -> tuple[ProviderState, ...]:
        """Return what Bedrock wants back unchanged."""
        return REPLAY.keep([piece for block in self._blocks.values() for piece in _pieces(block)])

    def _text(self, index: int, text: str) -> ChatDelta:
        self._block(index, "text").length += len(text)
        return ChatDelta(text) if text else NOTHING

    def _thought(self, index: int, value: Mapping[str, Any]) -> ChatDelta:
        block = self._block(index, "reasoning")
        block.signature.append(text_of(value.get("signature")))
        block.redacted += b64decode(text_of(value.get("redactedContent")), validate=True)
        thought = text_of(value.get("text"))
        block.texts.append(thought)
        return ChatDelta(reasoning=thought) if thought else NOTHING

    def _arguments(self, index: int, piece: str) -> ChatDelta:
        block = self._blocks.get((index, "call"))
        if block is None or not piece:
            return NOTHING
        block.texts.append(piece)
        return ChatDelta(tool_calls=(ToolCallDelta(block.place, arguments=piece),))

    def _block(self, index: int, kind: str) -> _Block:
        return self._blocks.setdefault((index, kind), _Block(kind))


def _pieces(block: _Block) -> Sequence[Piece]:
    """Return what is kept of a block."""
    if block.kind == "text":
        return (block.length,)
    if block.kind == "call":
        return (CALL,)
    kept: list[Piece] = []
    signature = "".join(block.signature)
    if signature:
        kept.append({"reasoningText": {"text": "".join(block.texts), "signature": signature}})
    if block.redacted:
        kept.append({"redactedContent": b64encode(block.redacted).decode()})
    return kept


def _written(arguments: Any) -> str:
    if not isinstance(arguments, dict):
        raise TypeError("the input of a call is not an object")
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _join(calls: Sequence[tuple[ToolCallDelta, ...]]) -> tuple[ToolCallDelta, ...]:
    """Return one piece for each call: its beginning and its arguments."""
    pieces = [call for parts in calls for call in parts]
    return tuple(
        ToolCallDelta(begun.index, begun.id, begun.name, ended.arguments)
        for begun, ended in zip(pieces[::2], pieces[1::2], strict=True)
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0
