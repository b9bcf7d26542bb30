"""What to do when an answer breaks off."""

from __future__ import annotations

from dataclasses import dataclass, field

from andon.chat import ChatDelta
from andon.errors import BackendError


@dataclass(slots=True)
class StreamTracker:
    """Follows one answer, and decides whether another backend may take over.

    :param held_back: whether the caller gets nothing before the answer is complete, so that
        a broken answer can be started again elsewhere unseen.
    """

    held_back: bool
    _text: list[str] = field(default_factory=list)
    _delivered: bool = False

    def append(self, delta: ChatDelta) -> None:
        """Take note of a piece of the answer."""
        if delta.text:
            self._text.append(delta.text)
            self._delivered = True
        elif delta.tool_calls or delta.reasoning:
            self._delivered = True

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    @property
    def delivered(self) -> bool:
        """Whether the caller has seen a part of the answer."""
        return self._delivered and not self.held_back

    def may_restart(self, error: BackendError) -> bool:
        """Return whether the request may be started anew, at another backend."""
        return error.recoverable and not self.delivered
