"""Answers in the form of Anthropic's Messages, whole or in pieces, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from andon.chat import ChatDelta, FinishReason, ToolCallDelta, Usage
from andon.messages import ProviderState
from andon.specs import ModelCard
from andon.wire.anthropic_replay import REPLAY
from andon.wire.block_replay import CALL, Piece
from andon.wire.json_values import name_of, read_json, text_of, token_count

#: What an event that tells nothing gives.
NOTHING = ChatDelta()

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    # The limit of a turn in which Anthropic itself runs tools: the answer is not at its end.
    "pause_turn": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


def read_finish(raw: str | None) -> FinishReason:
    """Return andon's word for why an answer ended; an unknown word is an ordinary end."""
    return _REASONS.get(raw or "", FinishReason.STOP)


def read_usage(counts: Mapping[str, Any]) -> Usage | None:
    """Return the tokens used, in andon's meaning, or None where there is no count.

    :param counts: the ``usage`` object; its input tokens are those that no cache had to do with.
    """
    if not counts:
        return None
    cached = _count(counts, "cache_read_input_tokens")
    written = _count(counts, "cache_creation_input_tokens")
    outputs = _count(counts, "output_tokens")
    thoughts = _count(counts.get("output_tokens_details") or {}, "thinking_tokens")
    inputs = _count(counts, "input_tokens") + cached + written
    return Usage(inputs, outputs, cached, written, min(thoughts, outputs))


def read_message(body: Mapping[str, Any], identifier: str | None) -> ChatDelta:
    """Return a whole answer.

    :param body: the reply's JSON object.
    :param identifier: the request's id, where the headers tell it.
    """
    content = Content()
    deltas: list[ChatDelta] = []
    for index, block in enumerate(body["content"]):
        deltas += (content.start(index, block), content.stop(index))
    raw = name_of(body["stop_reason"])
    if raw is None:
        raise TypeError("an answer tells why it ended")
    return ChatDelta(
        text="".join(delta.text for delta in deltas),
        reasoning="".join(delta.reasoning for delta in deltas),
        tool_calls=_join([call for delta in deltas for call in delta.tool_calls]),
        finish_reason=read_finish(raw),
        raw_finish_reason=raw,
        usage=read_usage(body.get("usage") or {}),
        model=name_of(body.get("model")),
        request_id=identifier or name_of(body.get("id")),
        provider_state=content.state(),
    )


def read_cards(body: Mapping[str, Any]) -> Sequence[ModelCard]:
    """Return the models of a list."""
    return [_card(model) for model in body["data"]]


def read_count(body: Mapping[str, Any]) -> int:
    """Return the number of tokens that were counted.

    :raises ValueError: there is none.
    """
    return token_count(body, "input_tokens")


@dataclass(slots=True)
class _Block:
    """A block of an answer in the making.

    :param kind: its type.
    :param value: the block as it began.
    :param place: a tool call's place among all calls.
    :param length: characters of text.
    :param thoughts: pieces of thoughts.
    :param arguments: pieces of a call's arguments.
    """

    kind: str
    value: dict[str, Any]
    place: int = 0
    length: int = 0
    thoughts: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)


class Content:
    """The blocks of one answer, in their order."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._calls = 0

    def start(self, index: int, value: Mapping[str, Any]) -> ChatDelta:
        """Begin a block, which may be whole already.

        :param index: the block's place among all blocks.
        :param value: the block.
        """
        block = _Block(text_of(value["type"]), dict(value))
        self._blocks[index] = block
        match block.kind:
            case "text":
                return self._text(block, text_of(value.get("text")))
            case "thinking":
                return self._thought(block, text_of(value.get("thinking")))
            case "tool_use":
                block.place, self._calls = self._calls, self._calls + 1
                identifier, name = text_of(value.get("id")), text_of(value["name"])
                identifier = identifier or f"call_{block.place}"
                return ChatDelta(tool_calls=(ToolCallDelta(block.place, identifier, name),))
        return NOTHING

    def extend(self, index: int, delta: Mapping[str, Any]) -> ChatDelta:
        """Add a piece to a block; a piece of an unknown kind is nothing."""
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta" if block.kind == "text":
                return self._text(block, text_of(delta["text"]))
            case "thinking_delta" if block.kind == "thinking":
                return self._thought(block, text_of(delta["thinking"]))
            case "signature_delta":
                block.value["signature"] = text_of(delta["signature"])
            case "input_json_delta":
                piece = text_of(delta["partial_json"])
                block.arguments.append(piece)
                if block.kind == "tool_use" and piece:
                    return ChatDelta(tool_calls=(ToolCallDelta(block.place, arguments=piece),))
        return NOTHING

    def stop(self, index: int) -> ChatDelta:
        """End a block; what it had said at its beginning only is told now."""
        block = self._blocks[index]
        if block.kind != "tool_use" or any(block.arguments):
            return NOTHING
        # A call without arguments streams none, and a whole one has them already.
        arguments = block.value.get("input") or {}
        if not isinstance(arguments, dict):
            raise TypeError("the input of a call is not an object")
        text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        block.arguments.append(text)
        return ChatDelta(tool_calls=(ToolCallDelta(block.place, arguments=text),))

    def close(self) -> tuple[ToolCallDelta, ...]:
        """End the blocks that have not ended yet; return what that adds to calls."""
        return tuple(call for index in self._blocks for call in self.stop(index).tool_calls)

    def state(self) -> tuple[ProviderState, ...]:
        """Return what Anthropic wants back unchanged."""
        return REPLAY.keep([_piece(block) for block in self._blocks.values()])

    def _text(self, block: _Block, text: str) -> ChatDelta:
        block.length += len(text)
        return ChatDelta(text) if text else NOTHING

    def _thought(self, block: _Block, thought: str) -> ChatDelta:
        block.thoughts.append(thought)
        return ChatDelta(reasoning=thought) if thought else NOTHING


def _piece(block: _Block) -> Piece:
    match block.kind:
        case "text":
            return block.length
        case "tool_use":
            return CALL
        case "thinking":
            return {**block.value, "thinking": "".join(block.thoughts)}
    # What is left may be the call of a tool that runs at Anthropic, whole or cut short.
    with suppress(ValueError):
        return {**block.value, "input": read_json("".join(block.arguments))}
    return block.value


def _join(calls: Sequence[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    """Return one piece for each call: its beginning and its arguments."""
    return tuple(
        ToolCallDelta(begun.index, begun.id, begun.name, ended.arguments)
        for begun, ended in zip(calls[::2], calls[1::2], strict=True)
    )


def _card(model: Mapping[str, Any]) -> ModelCard:
    able = model.get("capabilities") or {}
    named = {
        "images": "image_input",
        "json_schema": "structured_outputs",
        "reasoning": "thinking",
    }
    abilities = {
        ours for ours, theirs in named.items() if (able.get(theirs) or {}).get("supported")
    }
    return ModelCard(
        name=model["id"],
        context_window=_count(model, "max_input_tokens") or None,
        max_output_tokens=_count(model, "max_tokens") or None,
        capabilities=frozenset({"chat", "tools", *abilities}),
        description=text_of(model.get("display_name")),
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0
