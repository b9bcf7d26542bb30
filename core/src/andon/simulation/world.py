"""The simulated world: its time, its servers, its processes, and whoever watches over it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from andon.simulation.process import Process
from andon.simulation.timeline import Timeline
from andon.simulation.watch import InvariantBroken, Watch

if TYPE_CHECKING:
    from andon.events import Event
    from andon.simulation.driver import Walk
    from andon.simulation.model import Question
    from andon.simulation.server import Server
    from andon.simulation.visit import Visit

#: A world in which so much happens is taken to go round in circles, for each of its requests.
_MOST_STEPS = 100_000


class World:
    """A simulated world; the same seed gives the same one, to the last digit.

    :param random: its dice.
    :param shuffled: whether what happens in the same moment comes in any order.
    :param watch: is told of everything; nobody where None.
    """

    def __init__(
        self, random: Random, *, shuffled: bool = False, watch: Watch | None = None
    ) -> None:
        self.random = random
        self.timeline = Timeline(random if shuffled else None)
        self.watch = watch or Watch()
        #: All requests that may come, by their numbers.
        self.questions: dict[int, Question] = {}
        self.servers: dict[str, Server] = {}
        self.processes: list[Process] = []
        self.visits: list[Visit] = []
        #: Lines that tell what happened, where somebody wants to read them.
        self.trace: list[str] | None = None
        #: The request that is going on at the moment.
        self.current: Walk | None = None

    def now(self) -> float:
        """Return the time, in seconds since the world began."""
        return self.timeline.now

    def note(self, event: Event) -> None:
        """Write down what an observer would be told of."""
        if self.trace is not None:
            self.trace.append(f"{self.timeline.now:9.4f} #{event.request_id} {event!r:.300}")

    def run(self) -> None:
        """Let everything happen.

        :raises InvariantBroken: something happened that never may.
        """
        left = _MOST_STEPS * (len(self.visits) + 1)
        try:
            while self.timeline.step():
                left -= 1
                if not left:
                    raise InvariantBroken("the world does not come to rest")
            self.watch.world_over(self)
        finally:
            for process in self.processes:
                process.discard()
