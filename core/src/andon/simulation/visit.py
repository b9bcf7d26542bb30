"""Requests as the simulated world sees them: what the caller does, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from andon.chat import ChatDelta, ChatResponse
from andon.simulation.model import Question
from andon.simulation.stream import SimulatedStream
from andon.trip import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a caller does besides waiting. Times are in seconds.

    :param pause: how long it takes over each piece.
    :param leaves_after: closes the stream after so many pieces; None never does.
    :param cancels_after: is cancelled so long after it asked; None never is.
    """

    pause: float = 0.0
    leaves_after: int | None = None
    cancels_after: float | None = None


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request in a simulated world. Moments are seconds since its beginning.

    :param at: when it comes.
    :param order: what is asked.
    :param question: the same as the models know it.
    :param caller: what its caller does.
    """

    at: float
    order: Order
    question: Question
    caller: Caller = Caller()
    #: The pieces that the caller got.
    received: list[ChatDelta] = field(default_factory=list)
    #: The text of these.
    text: str = ""
    #: When the first piece came, and when all was over.
    first_at: float | None = None
    ended_at: float | None = None
    #: The whole answer, or the error; None where the process died.
    outcome: ChatResponse | BaseException | None = None
    #: Every stream that was opened for it.
    streams: list[SimulatedStream] = field(default_factory=list)
    #: Seconds that no timeout counts: the caller's own, and the ledger's.
    paused: float = 0.0
    cancelled_at: float | None = None
    #: How often it was let in by the router, and how often it left.
    entered: int = 0
    left: int = 0
    #: Nano-dollars that were settled for it.
    settled: int = 0
    #: What is held for it: the stream that each hold pays for, once it is sent.
    holds: dict[str, SimulatedStream | None] = field(default_factory=dict)
    unsent: dict[str, str] = field(default_factory=dict)

    def note_sent(self, stream: SimulatedStream) -> None:
        """Take note of a stream, and of the hold that pays for it."""
        self.streams.append(stream)
        hold = self.unsent.pop(stream.server.name, None)
        if hold is not None:
            self.holds[hold] = stream

    @property
    def response(self) -> ChatResponse | None:
        """The whole answer, where there is one."""
        return self.outcome if isinstance(self.outcome, ChatResponse) else None
