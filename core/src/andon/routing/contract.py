"""The contract between the corridor and what says whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from andon.health import HealthBoard
from andon.routing.turn import Turn
from andon.selection import ModelRef
from andon.specs import BackendSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer, and the backend that serves it.

    :param ref: how the caller named it.
    :param spec: the backend.
    :param cost: the most that the request may cost there, in nano-dollars; 0 where it is free or
        nobody knows.
    :param healthy: whether the backend is not resting from failures.
    """

    ref: ModelRef
    spec: BackendSpec
    cost: int = 0
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """What a router may know of a request.

    :param tokens: tokens of prompt and answer together, as far as known: its weight.
    :param priority: the higher goes first.
    :param key: who asks; places are shared fairly between keys.
    """

    tokens: int = 0
    priority: int = 0
    key: str = ""


class Admission(Protocol):
    """A request that was let in, and is counted until it leaves."""

    @property
    def order(self) -> Sequence[Candidate]:
        """Whom to ask, in turn; the request is counted at the first."""
        ...

    @property
    def turn(self) -> Turn | None:
        """What to wait for before the first is asked, or None where it can be asked at once."""
        ...

    def move(self, candidate: Candidate, now: float) -> None:
        """Count the request at another candidate, with which it goes on at once.

        :param candidate: one of ``order``.
        :param now: seconds of a clock that never goes back.
        """
        ...

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        """Count the request no more, and let in who waits for its place.

        To be called on every way out, an error and a cancelled wait included; only the first call
        counts. It never blocks.

        :param now: seconds of a clock that never goes back.
        :param tokens: tokens of prompt and answer as they were; 0 where unknown.
        :param answered: whether the backend answered in full, so that the time it took tells how
            long it takes.
        """
        ...


class Router(Protocol):
    """A routing strategy; used by many threads and tasks at once."""

    #: Whether :meth:`admit` may have to wait for a server that shares the load with other
    #: processes, so that an event loop asks in a thread.
    waits: bool = False

    #: Whether it goes by :attr:`Ask.tokens`, which takes longer to find out than to decide.
    weighs: bool = True

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        """Decide where a request goes and count it there, in one step.

        A candidate that rests from failures comes after those that do not, or not at all.

        :param candidates: who may answer, in the caller's order of preference; what privacy or
            a budget forbids is not among them.
        :param ask: what is known of the request.
        :param now: seconds of a clock that never goes back.
        :raises Rejected: every candidate has too much to do.
        """
        ...


@runtime_checkable
class SharesHealth(Protocol):
    """What a router may have besides: one that shares its load with other processes."""

    @property
    def health(self) -> HealthBoard | None:
        """The health of endpoints as all of them see it, or None where each sees to itself."""
        ...
