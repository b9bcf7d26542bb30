"""The blocks of an answer, kept so that its provider gets them back as they were.

Some models sign their thoughts, or encrypt them: such a block has to go back unchanged, in its
place among text and calls. What a message cannot hold goes into its provider state, as a JSON list
in the order of the blocks: what is kept of a block, the number of characters of a text, or
``"call"`` for a tool call. Text and calls stay in the message, so that there is one truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from andon.errors import InvalidRequestError
from andon.messages import ChatMessage, ProviderState

#: What stands for a tool call.
CALL = "call"

Block: TypeAlias = dict[str, Any]
Piece: TypeAlias = Mapping[str, Any] | int | str


@dataclass(frozen=True, slots=True)
class BlockReplay:
    """How a protocol keeps the blocks of its answers.

    :param dialect: the protocol's name in a provider state.
    :param provider: whose protocol it is, for people.
    :param is_kept: whether a JSON object is what is kept of a block.
    :param to_block: makes the block of what is kept of it.
    :param text_blocks: makes blocks of a text: one, or none where the provider refuses it.
    """

    dialect: str
    provider: str
    is_kept: Callable[[Mapping[str, Any]], bool]
    to_block: Callable[[Mapping[str, Any]], Block]
    text_blocks: Callable[[str], list[Block]]

    def keep(self, pieces: Sequence[Piece]) -> tuple[ProviderState, ...]:
        """Return the state for an answer, or nothing where the message itself says it all."""
        texts = sum(isinstance(piece, int) for piece in pieces)
        plain = [*pieces[:texts], *[CALL] * (len(pieces) - texts)]
        if texts <= 1 and plain == list(pieces):
            return ()
        data = json.dumps(list(pieces), ensure_ascii=False, separators=(",", ":"))
        return (ProviderState(self.dialect, data),)

    def restore(self, message: ChatMessage, calls: Sequence[Block]) -> list[Block]:
        """Return the blocks of an assistant's message.

        :param message: the message; where its text or calls are others than those of the answer,
            its kept blocks go first.
        :param calls: its tool calls as blocks.
        :raises InvalidRequestError: its provider state is none that was written here.
        """
        text = message.text
        pieces = self._read(message.provider_state)
        lengths = sum(piece for piece in pieces if isinstance(piece, int))
        if lengths != len(text) or pieces.count(CALL) != len(calls):
            kept = [piece for piece in pieces if isinstance(piece, Mapping)]
            pieces = [*kept, len(text), *[CALL] * len(calls)]
        blocks: list[Block] = []
        start, rest = 0, iter(calls)
        for piece in pieces:
            if isinstance(piece, Mapping):
                blocks.append(self.to_block(piece))
            elif isinstance(piece, int):
                blocks += self.text_blocks(text[start : start + piece])
                start += piece
            else:
                blocks.append(next(rest))
        return blocks

    def _read(self, states: Sequence[ProviderState]) -> list[Piece]:
        own = [state for state in states if state.dialect == self.dialect]
        return [piece for state in own for piece in self._read_data(state.data)]

    def _read_data(self, data: str) -> list[Piece]:
        try:
            pieces = json.loads(data)
        except (ValueError, RecursionError):
            pieces = None
        if isinstance(pieces, list) and all(map(self._is_piece, pieces)):
            return pieces
        raise InvalidRequestError(
            f"a message's provider_state for {self.provider} is damaged; pass the message as it "
            "came"
        )

    def _is_piece(self, value: Any) -> bool:
        if isinstance(value, dict):
            return self.is_kept(value)
        return value == CALL or (type(value) is int and value >= 0)
