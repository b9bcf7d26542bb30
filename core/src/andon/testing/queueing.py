"""Requests that arrive, wait and are served, in simulated time: what a router makes of a load.

Nothing sleeps and nothing is sent. The same seed gives the same run, so that a strategy, or a
configuration, can be judged before it is trusted::

    traffic = poisson(Random(1), rate=2.4, count=20_000, service=lambda random: 2.0)
    visits = simulate(SpilloverRouter(config), candidates, traffic, {"llama-cpp": 4})
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from andon.errors import Rejected
from andon.routing import Admission, Ask, Candidate, Router


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that comes. Times are in seconds.

    :param at: when.
    :param service: how long it takes to serve it.
    :param ask: what the router may know of it.
    :param patience: how long it waits before it gives up.
    :param fails: whether the backend fails it in the end.
    """

    at: float
    service: float
    ask: Ask = field(default_factory=Ask)
    patience: float | None = None
    fails: bool = False


@dataclass(slots=True)
class Visit:
    """What became of a request. Times are in seconds.

    :param arrival: the request.
    :param backend: where it was counted; empty where it was rejected.
    :param begun: when a backend began to serve it.
    :param ended: when it was done, or gave up.
    :param retry_after: what it was told where it was rejected.
    """

    arrival: Arrival
    backend: str = ""
    begun: float | None = None
    ended: float | None = None
    retry_after: float | None = None

    @property
    def wait(self) -> float:
        """How long it waited, until it was served or gave up."""
        end = self.ended if self.begun is None else self.begun
        return 0.0 if end is None else end - self.arrival.at


def poisson(
    random: Random,
    *,
    rate: float,
    count: int,
    service: Callable[[Random], float],
    ask: Callable[[Random], Ask] = lambda random: Ask(),
) -> Iterator[Arrival]:
    """Give requests that come independently of each other.

    :param random: draws them.
    :param rate: requests a second.
    :param count: how many.
    :param service: draws seconds of service.
    :param ask: draws what the router knows.
    """
    now = 0.0
    for _ in range(count):
        now += random.expovariate(rate)
        yield Arrival(now, service(random), ask(random))


def simulate(
    router: Router,
    candidates: Sequence[Candidate],
    arrivals: Iterator[Arrival] | Sequence[Arrival],
    slots: Mapping[str, int],
) -> list[Visit]:
    """Send requests through a router; return what became of each, in the order of arrival.

    :param router: the router.
    :param candidates: who may answer each of them.
    :param arrivals: the requests, in order of time.
    :param slots: how many requests a backend really serves at a time, by its name; what is more
        waits there, first come, first served. Backends that are not named serve any number.
    """
    return _World(router, candidates, slots).run(arrivals)


@dataclass(slots=True)
class _Server:
    free: float
    waiting: deque[tuple[Visit, Admission]] = field(default_factory=deque)


class _World:
    def __init__(
        self, router: Router, candidates: Sequence[Candidate], slots: Mapping[str, int]
    ) -> None:
        self._router = router
        self._candidates = candidates
        self._servers = {name: _Server(number) for name, number in slots.items()}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = count()
        self._granted: deque[Callable[[float], None]] = deque()

    def run(self, arrivals: Iterator[Arrival] | Sequence[Arrival]) -> list[Visit]:
        visits = []
        for arrival in arrivals:
            self._pass_until(arrival.at)
            visit = Visit(arrival)
            visits.append(visit)
            self._enter(visit)
        self._pass_until(float("inf"))
        return visits

    def _pass_until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
            while self._granted:
                self._granted.popleft()(now)

    def _later(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), happen))

    def _enter(self, visit: Visit) -> None:
        now = visit.arrival.at
        try:
            admission = self._router.admit(self._candidates, visit.arrival.ask, now)
        except Rejected as error:
            visit.retry_after = error.retry_after
            visit.ended = now
            return
        visit.backend = admission.order[0].spec.name

        def begin(at: float) -> None:
            if visit.ended is None:
                self._arrive(visit, admission, at)

        def give_up(at: float) -> None:
            if visit.begun is None:
                visit.ended = at
                admission.leave(at, answered=False)

        if admission.turn is None or admission.turn.notify(lambda: self._granted.append(begin)):
            begin(now)
        if visit.arrival.patience is not None:
            self._later(now + visit.arrival.patience, give_up)

    def _arrive(self, visit: Visit, admission: Admission, now: float) -> None:
        server = self._servers.setdefault(visit.backend, _Server(float("inf")))
        if server.free <= 0:
            server.waiting.append((visit, admission))
            return
        server.free -= 1
        visit.begun = now
        self._later(now + visit.arrival.service, lambda at: self._end(visit, admission, at))

    def _end(self, visit: Visit, admission: Admission, now: float) -> None:
        visit.ended = now
        admission.leave(now, answered=not visit.arrival.fails)
        server = self._servers[visit.backend]
        server.free += 1
        while server.waiting and server.free > 0:
            other, its_admission = server.waiting.popleft()
            if other.ended is None:
                self._arrive(other, its_admission, now)
