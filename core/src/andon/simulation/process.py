"""A process in the simulated world, which can die at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from andon.chat import ChatResponse
from andon.pipeline import serve
from andon.routing import Ask, MemoryLoad
from andon.routing.load import Load, Option, Plan
from andon.simulation.driver import Walk
from andon.simulation.stream import Retries

if TYPE_CHECKING:
    from andon.drivers import World as Rooms
    from andon.simulation.visit import Visit
    from andon.simulation.world import World
    from andon.trip import House


class SharedLoad:
    """One process's view of counts that many processes share; what it holds can expire.

    :param store: the counts.
    """

    waits = False
    health = None

    def __init__(self, store: MemoryLoad) -> None:
        self._store = store
        self._held: dict[int, Any] = {}

    def take(self, plan: Plan, ask: Ask, now: float) -> Any:
        """Decide and count in one step; see :meth:`andon.routing.LoadStore.take`."""
        ticket = self._store.take(plan, ask, now)
        self._held[id(ticket)] = ticket
        return ticket

    def move(self, ticket: Any, option: Option, now: float) -> None:
        """Count a request elsewhere; see :meth:`andon.routing.LoadStore.move`."""
        self._store.move(ticket, option, now)

    def leave(self, ticket: Any, now: float) -> None:
        """Count a request no more; see :meth:`andon.routing.LoadStore.leave`."""
        self._held.pop(id(ticket), None)
        self._store.leave(ticket, now)

    def resize(self, name: str, slots: int) -> None:
        """Take note of a backend's slots; see :meth:`andon.routing.LoadStore.resize`."""
        self._store.resize(name, slots)

    def load(self, name: str) -> Load:
        """Return how busy a backend is."""
        return self._store.load(name)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def expire(self, now: float) -> None:
        """Give back what a dead process held, its lease being over."""
        for ticket in list(self._held.values()):
            self.leave(ticket, now)


class Process:
    """A process with one client.

    :param world: where it runs.
    :param house: the rooms of its corridor.
    :param rooms: what its effects are performed on.
    :param load: its view of shared counts; None where it counts for itself.
    :param ledger_seconds: how long the ledger takes to answer.
    :param retries: how often a server is asked again that failed before its first piece.
    """

    def __init__(
        self,
        world: World,
        house: House,
        rooms: Rooms,
        *,
        load: SharedLoad | None = None,
        ledger_seconds: float = 0.0,
        retries: int = 2,
    ) -> None:
        self.world = world
        self.house = house
        self.rooms = rooms
        self.ledger_seconds = ledger_seconds
        self.retries = Retries(world.random, lambda: world.timeline.now, retries)
        self.is_alive = True
        self._load = load
        self._walks: dict[Walk, None] = {}
        self._dead: Sequence[Walk] = ()

    def receive(self, visit: Visit) -> None:
        """Take a request in at its time."""
        self.world.visits.append(visit)
        self.world.timeline.at(visit.at, lambda: self._begin(visit))

    def _begin(self, visit: Visit) -> None:
        if not self.is_alive:
            return
        walk = Walk(serve(visit.order, self.house), self, visit)
        self._walks[walk] = None
        if visit.caller.cancels_after is not None:
            self.world.timeline.after(visit.caller.cancels_after, walk.cancel)
        walk.begin()

    def ended(self, walk: Walk, outcome: ChatResponse | BaseException) -> None:
        """Take note of how a request ended."""
        visit = walk.visit
        visit.outcome, visit.ended_at = outcome, self.world.timeline.now
        del self._walks[walk]
        self.world.watch.ended(walk)

    def die(self, lease: float) -> None:
        """Die: what is under way vanishes, and nothing is tidied up.

        :param lease: seconds after which others may give away what it held of shared counts.
        """
        self.is_alive = False
        self._dead, self._walks = tuple(self._walks), {}
        timeline = self.world.timeline
        for walk in self._dead:
            walk.vanish()
            for stream in walk.visit.streams:
                # The operating system closes its connections.
                stream.close()
        load = self._load
        if load is not None:
            timeline.after(lease, lambda: load.expire(timeline.now))

    def discard(self) -> None:
        """Let go of everything at the end of the world."""
        for walk in (*self._dead, *self._walks):
            walk.discard()

    @property
    def counts_itself(self) -> bool:
        """Whether its counts are still there: they die with it, unless they are shared."""
        return self.is_alive or self._load is not None

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return len(self._walks)
