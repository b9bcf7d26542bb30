"""The blocks of an answer, kept so that Bedrock gets them back as they were.

Models sign their thoughts, or encrypt them: such a block has to go back unchanged, in its place
among text and calls. What a message cannot hold goes into its provider state, as a JSON list in
the order of the blocks: the content of a ``reasoningContent`` block, the number of characters of
a text, or ``"call"`` for a tool call. Thoughts that nobody signed stay here, for some models
refuse to have them back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from andon.errors import InvalidRequestError
from andon.messages import ChatMessage, ProviderState

#: The protocol's name in a provider state.
DIALECT = "bedrock-converse"

#: What stands for a tool call.
CALL = "call"

Block: TypeAlias = dict[str, Any]
Piece: TypeAlias = Mapping[str, Any] | int | str


def keep(pieces: Sequence[Piece]) -> tuple[ProviderState, ...]:
    """Return the state for an answer, or nothing where the message itself says it all."""
    if not any(isinstance(piece, Mapping) for piece in pieces):
        return ()
    data = json.dumps(list(pieces), ensure_ascii=False, separators=(",", ":"))
    return (ProviderState(DIALECT, data),)


def restore(message: ChatMessage, calls: Sequence[Block]) -> list[Block]:
    """Return the blocks of an assistant's message.

    :param message: the message; where its text or calls are others than those of the answer, its
        signed thoughts go first.
    :param calls: its tool calls as blocks.
    :raises InvalidRequestError: its provider state is none that was written here.
    """
    text = message.text
    pieces = _read(message)
    lengths = sum(piece for piece in pieces if isinstance(piece, int))
    if lengths != len(text) or pieces.count(CALL) != len(calls):
        thoughts = [piece for piece in pieces if isinstance(piece, Mapping)]
        pieces = [*thoughts, len(text), *[CALL] * len(calls)]
    blocks: list[Block] = []
    start, rest = 0, iter(calls)
    for piece in pieces:
        if isinstance(piece, Mapping):
            blocks.append({"reasoningContent": piece})
        elif isinstance(piece, int):
            blocks += text_blocks(text[start : start + piece])
            start += piece
        else:
            blocks.append(next(rest))
    return blocks


def text_blocks(text: str) -> list[Block]:
    """Return a text as a block; one without a letter is none, for Bedrock refuses it."""
    return [{"text": text}] if text.strip() else []


def _read(message: ChatMessage) -> list[Piece]:
    pieces: list[Piece] = []
    for state in message.provider_state:
        if state.dialect == DIALECT:
            pieces += _read_data(state.data)
    return pieces


def _read_data(data: str) -> list[Piece]:
    try:
        pieces = json.loads(data)
    except (ValueError, RecursionError):
        pieces = None
    if isinstance(pieces, list) and all(map(_is_piece, pieces)):
        return pieces
    raise InvalidRequestError(
        "a message's provider_state for Bedrock is damaged; pass the message as it came"
    )


def _is_piece(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("reasoningText") or value.get("redactedContent"), dict | str)
    return value == CALL or (type(value) is int and value >= 0)
