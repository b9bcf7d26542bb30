"""How busy each backend is: requests are counted, and queue, in one step with the decision.

A strategy writes down what it would take, a :class:`Plan`; a :class:`LoadStore` carries it out at
once, so that no two requests see the same free place. :class:`MemoryLoad` is one process's own;
another store may be shared by many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from andon.errors import Rejected
from andon.health import HealthBoard
from andon.routing.contract import Ask, Candidate
from andon.routing.turn import Turn

#: Seconds of waiting that are worth one step of priority.
AGING = 10.0

#: A key may hold as many places of a queue as are free besides, times this: one that floods the
#: queue leaves room for others (dynamic thresholds: Choudhury and Hahne, 1998).
SHARE = 4


# Not frozen: several are made for every request, and a frozen record costs three times as much.
@dataclass(slots=True)
class Option:
    """One backend that a plan may take.

    :param candidate: who it is.
    :param slots: requests that it serves at a time; None where it has no limit of its own.
    :param most: requests that may be under way or wait there at most; None for any number.
    :param pace: seconds until one of its slots is free when all are taken.
    :param weight: size of the request there, in typical requests.
    :param base: where this option stands among its group before anything is counted.
    :param free: requests under way that make it no worse.
    :param endless: whether it is never overloaded.
    """

    candidate: Candidate
    slots: int | None = None
    most: int | None = None
    pace: float = 1.0
    weight: float = 1.0
    base: float = 0.0
    free: int = 0
    endless: bool = False

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.candidate.spec.name


@dataclass(frozen=True, slots=True)
class Marks:
    """When a backend is overloaded, and when it is no more.

    :param wait: seconds of predicted wait above which it is overloaded; None for any.
    :param depth: requests under way and waiting from which on it is overloaded; None for any.
    :param calm: share of either below which it is no more.
    """

    wait: float | None
    depth: int | None
    calm: float

    def judge(self, overloaded: bool, wait: float, depth: int) -> bool:
        """Return whether a backend is overloaded now.

        :param overloaded: whether it was.
        :param wait: its predicted wait, in seconds.
        :param depth: requests under way and waiting.
        """
        if overloaded:
            return not (
                (self.wait is None or wait < self.wait * self.calm)
                and (self.depth is None or depth < self.depth * self.calm)
            )
        too_long = self.wait is not None and wait > self.wait
        return too_long or (self.depth is not None and depth >= self.depth)


@dataclass(slots=True)
class Group:
    """Options among which the least busy is taken.

    :param options: the options.
    :param marks: leaves out who is overloaded; None takes them as well.
    """

    options: Sequence[Option]
    marks: Marks | None = None


#: What a strategy would take: of the first group that has anybody, the least busy. It is walked
#: through once, and only as far as need be: most requests find room in the first group.
Plan: TypeAlias = Iterable[Group]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy a backend is, and was.

    :param in_flight: requests under way and waiting.
    :param waiting: requests waiting.
    :param overloaded: whether requests spill over from it.
    :param admitted: requests that were let in since the beginning.
    :param flips: how often it came to be overloaded, or ceased to be.
    :param waited: seconds that requests have waited, all together, up to the last that came or
        went.
    """

    in_flight: int = 0
    waiting: int = 0
    overloaded: bool = False
    admitted: int = 0
    flips: int = 0
    waited: float = 0.0


class Ticket(Protocol):
    """A request in a store's books."""

    @property
    def option(self) -> Option:
        """What was taken."""
        ...

    @property
    def turn(self) -> Turn | None:
        """What to wait for, or None where a slot was free."""
        ...

    @property
    def begun(self) -> float | None:
        """When its turn came, or None while it waits."""
        ...


class LoadStore(Protocol):
    """Keeps the books of who is busy with how much; used by many threads at once."""

    #: Whether it talks to a server.
    waits: bool

    @property
    def health(self) -> HealthBoard | None:
        """The health of endpoints as all see it that share the books, or None where nobody does."""
        ...

    def take(self, plan: Plan, ask: Ask, now: float) -> Any:
        """Decide and count in one step; return a :class:`Ticket`.

        :raises Rejected: no option has room.
        """
        ...

    def move(self, ticket: Any, option: Option, now: float) -> None:
        """Count a request elsewhere, without a queue."""
        ...

    def leave(self, ticket: Any, now: float) -> None:
        """Count a request no more, and give its slot to the next. It never blocks."""
        ...

    def resize(self, name: str, slots: int) -> None:
        """Take note of how many slots a backend has; who waits may get one."""
        ...

    def load(self, name: str) -> Load:
        """Return how busy a backend is."""
        ...

    def close(self) -> None:
        """Let go of what it holds open."""
        ...


def rejected(options: Iterable[Option], waits: Sequence[float], *, over_share: bool) -> Rejected:
    """Return the refusal where no option of a plan has room.

    :param options: the options.
    :param waits: seconds until each option is predicted to begin with one more.
    :param over_share: whether the request's key has more than its share of what room there is.
    """
    names = sorted({option.name for option in options})
    after = max(0.0, min(waits, default=0.0))
    listing = ", ".join(names)
    if over_share:
        return Rejected(
            f"the rest of the queue of {listing} is kept for others; try again in {after:.1f} s",
            reason="over_share",
            retry_after=after,
        )
    return Rejected(
        f"{listing}: no room in the queue; try again in {after:.1f} s, or raise max_queue_depth",
        reason="queue_full",
        retry_after=after,
    )
