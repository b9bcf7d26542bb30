"""A chat in turns: what may be left out, and what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from andon.messages import ChatMessage, Role


@dataclass(frozen=True, slots=True)
class Turns:
    """The places of a chat's messages, by what may be left out.

    :param pinned: places of messages that are always kept: instructions, and the last question of
        the user with everything after it.
    :param older: the turns before, oldest first, each with its messages' places. A turn begins
        with what the user says, and is kept or left out as a whole, so no tool's result loses its
        call, and what is kept begins with the user.
    """

    pinned: tuple[int, ...]
    older: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, messages: Sequence[ChatMessage]) -> Turns:
        """Find the turns of a chat."""
        pinned: list[int] = []
        turns: list[list[int]] = []
        speaker: Role | None = None
        for place, message in enumerate(messages):
            if message.role is Role.SYSTEM:
                pinned.append(place)
                continue
            asks = message.role is Role.USER
            if not turns or (asks and speaker is not Role.USER):
                turns.append([])
            turns[-1].append(place)
            speaker = message.role
        # Whatever came before the first question belongs to no turn that could stay without it.
        last = turns.pop() if turns else []
        return cls(tuple(sorted([*pinned, *last])), tuple(map(tuple, turns)))
