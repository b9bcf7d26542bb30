"""The load of backends as one process sees it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from andon.routing.contract import Ask
from andon.routing.line import Place, WaitingLine
from andon.routing.load import AGING, SHARE, Load, Marks, Option, Plan, rejected
from andon.routing.turn import Turn


@dataclass(slots=True, eq=False)
class _Booking(Place):
    """A request in the books."""

    option: Option = field(kw_only=True)
    turn: Turn | None = None
    begun: float | None = None
    gone: bool = False


class _Lane:
    """One backend's books."""

    __slots__ = (
        "admitted", "at", "flips", "line", "overloaded", "running", "slots", "waited",
    )  # fmt: skip

    def __init__(self, aging: float) -> None:
        self.slots: int | None = None
        self.running = 0
        self.line = WaitingLine(aging)
        self.overloaded = False
        self.admitted = 0
        self.flips = 0
        self.waited = 0.0
        self.at = 0.0

    @property
    def depth(self) -> int:
        return self.running + len(self.line)

    @property
    def is_busy(self) -> bool:
        return self.slots is not None and self.running >= self.slots

    def predict(self, option: Option) -> float:
        """Return the seconds until one more request would begin."""
        return (self.line.backlog + 1) * option.pace if self.is_busy else 0.0

    def is_full(self, option: Option) -> bool:
        return option.most is not None and self.depth >= max(option.most, option.slots or 0)

    def keeps_rest_from(self, option: Option, key: str) -> bool:
        """Return whether a key has more than its share of what room there is."""
        if not key or option.most is None or not self.is_busy:
            return False
        return self.line.waiting_for(key) >= SHARE * (option.most - self.depth)

    def judge(self, marks: Marks, option: Option) -> bool:
        overloaded = marks.judge(self.overloaded, self.predict(option), self.depth)
        if overloaded is not self.overloaded:
            self.overloaded = overloaded
            self.flips += 1
        return overloaded

    def pass_time(self, now: float) -> None:
        if now > self.at:
            self.waited += len(self.line) * (now - self.at)
            self.at = now


class MemoryLoad:
    """Keeps the books of one process.

    Its lock is never held while anybody waits, and a request that leaves never waits for it: it
    may leave while the memory of an abandoned stream is collected, in the middle of anything.

    :param aging: seconds of waiting that are worth one step of priority.
    """

    waits = False
    health = None

    def __init__(self, aging: float = AGING) -> None:
        self._aging = aging
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._leaving: deque[tuple[_Booking, float]] = deque()

    def take(self, plan: Plan, ask: Ask, now: float) -> _Booking:
        """Decide and count in one step; see :meth:`andon.routing.LoadStore.take`."""
        try:
            with self._lock:
                self._let_go()
                option = self._choose(plan, ask)
                return self._book(option, ask, now)
        finally:
            self._tidy()

    def move(self, ticket: _Booking, option: Option, now: float) -> None:
        """Count a request elsewhere; see :meth:`andon.routing.LoadStore.move`."""
        with self._lock:
            if not ticket.gone:
                self._release(ticket, now)
                lane = self._lane(option)
                lane.running += 1
                lane.admitted += 1
                ticket.option, ticket.turn, ticket.begun = option, None, now
        self._tidy()

    def leave(self, ticket: _Booking, now: float) -> None:
        """Count a request no more; see :meth:`andon.routing.LoadStore.leave`."""
        self._leaving.append((ticket, now))
        self._tidy()

    def resize(self, name: str, slots: int) -> None:
        """Take note of a backend's slots; see :meth:`andon.routing.LoadStore.resize`."""
        with self._lock:
            lane = self._lanes.get(name)
            if lane is not None:
                lane.slots = slots
                self._grant(lane, lane.at)
        self._tidy()

    def load(self, name: str) -> Load:
        """Return how busy a backend is."""
        with self._lock:
            lane = self._lanes.get(name) or _Lane(self._aging)
            found = Load(
                in_flight=lane.depth,
                waiting=len(lane.line),
                overloaded=lane.overloaded,
                admitted=lane.admitted,
                flips=lane.flips,
                waited=lane.waited,
            )
        self._tidy()
        return found

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    # -- With the lock held -----------------------------------------------------------------

    def _choose(self, plan: Plan, ask: Ask) -> Option:
        over_share = False
        seen: list[Option] = []
        for group in plan:
            seen += group.options
            best: Option | None = None
            least = 0.0
            for option in group.options:
                lane = self._lane(option)
                marks = None if option.endless else group.marks
                if (marks and lane.judge(marks, option)) or lane.is_full(option):
                    continue
                if lane.keeps_rest_from(option, ask.key):
                    over_share = True
                    continue
                score = option.base + option.pace * max(0, lane.depth - option.free)
                if best is None or score < least:
                    best, least = option, score
            if best is not None:
                return best
        waits = [(self._lane(option).line.backlog + 1) * option.pace for option in seen]
        raise rejected(seen, waits, over_share=over_share)

    def _lane(self, option: Option) -> _Lane:
        lane = self._lanes.get(option.name)
        if lane is None:
            lane = self._lanes[option.name] = _Lane(self._aging)
        lane.slots = option.slots
        return lane

    def _book(self, option: Option, ask: Ask, now: float) -> _Booking:
        lane = self._lanes[option.name]
        lane.pass_time(now)
        lane.admitted += 1
        booking = _Booking(ask.priority, ask.key, option.weight, now, option=option)
        if lane.is_busy:
            booking.turn = Turn()
            lane.line.add(booking)
        else:
            lane.running += 1
            lane.line.note(ask.key, option.weight)
            booking.begun = now
        return booking

    def _release(self, booking: _Booking, now: float) -> None:
        lane = self._lanes[booking.option.name]
        lane.pass_time(now)
        if booking.begun is None:
            lane.line.remove(booking)
        else:
            lane.running -= 1
        self._grant(lane, now)

    def _grant(self, lane: _Lane, now: float) -> None:
        while len(lane.line) and not lane.is_busy:
            booking = lane.line.pop(now)
            assert isinstance(booking, _Booking)
            assert booking.turn is not None
            booking.begun = now
            if booking.turn.give():
                lane.running += 1
            else:
                booking.gone = True

    def _let_go(self) -> None:
        while self._leaving:
            booking, now = self._leaving.popleft()
            if not booking.gone:
                booking.gone = True
                self._release(booking, now)

    # -- Without it -------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Let go of those that left, unless whoever has the lock does, who will come here next."""
        while self._leaving and self._lock.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._lock.release()
