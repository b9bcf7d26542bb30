"""Reading calls of tools out of a model's text, while it arrives.

Hermes and Qwen models write a call as JSON between ``<tool_call>`` and ``</tool_call>``.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from andon.messages import ToolCall

_OPEN = "<tool_call>"
_CLOSE = "</tool_call>"

#: What the parser gives: text as it stands, or a call.
Piece: TypeAlias = str | ToolCall


class ToolCallParser:
    """Takes a text in pieces of any size, gives text and calls in their order.

    Text is passed on at once, except for what may be the beginning of a call. A call whose JSON is
    not that of a call comes back as the text that it was. How the text was cut makes no difference
    to the calls, nor to the text between them once it is joined.
    """

    def __init__(self) -> None:
        self._held = ""
        self._calls = 0

    def feed(self, text: str) -> list[Piece]:
        """Take the next characters, and return what is certain by now."""
        self._held += text
        pieces: list[Piece] = []
        while (piece := self._next()) is not None:
            pieces.append(piece)
        return pieces

    def finish(self) -> list[Piece]:
        """Return what was held back; the text has ended."""
        held, self._held = self._held, ""
        return [held] if held else []

    def _next(self) -> Piece | None:
        at = self._held.find(_OPEN)
        if at < 0:
            return self._take(len(self._held) - _overlap(self._held))
        if at > 0:
            return self._take(at)
        end = self._held.find(_CLOSE)
        if end < 0:
            return None
        call = self._read(self._held[len(_OPEN) : end])
        taken = self._take(end + len(_CLOSE))
        return taken if call is None else call

    def _take(self, size: int) -> str | None:
        taken, self._held = self._held[:size], self._held[size:]
        return taken or None

    def _read(self, text: str) -> ToolCall | None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        match value:
            case {"name": str(name), "arguments": dict(arguments), **rest} if not rest:
                written = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
            case _:
                return None
        call = ToolCall(f"call_{self._calls}", name, written)
        self._calls += 1
        return call


def _overlap(text: str) -> int:
    """Return how many characters at the end of a text may begin a call."""
    for size in range(min(len(text), len(_OPEN) - 1), 0, -1):
        if _OPEN.startswith(text[-size:]):
            return size
    return 0
