"""What strategies have in common that go by load: counting, queues and service times."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from andon.errors import Rejected
from andon.health import HealthBoard
from andon.routing.contract import Ask, Candidate
from andon.routing.in_order import healthy_first
from andon.routing.load import Load, LoadStore, Option, Plan
from andon.routing.memory import MemoryLoad
from andon.routing.options import LoadConfig, check_whole
from andon.routing.service import ServiceTime
from andon.routing.turn import Turn
from andon.specs import Locality

#: Backends on one's own machines, whose slots are few.
NEAR = (Locality.IN_PROCESS, Locality.LOCAL)


class CountedRouter:
    """A strategy over one's own counts of what is under way; the base of those that are built in.

    A strategy says in :meth:`plan` what it would take.

    :param config: how requests are counted.
    :param store: keeps the counts and queues; in this process where None.
    """

    def __init__(self, config: LoadConfig, store: LoadStore | None = None) -> None:
        self._config = config
        self._store: LoadStore = MemoryLoad(config.aging) if store is None else store
        self.waits = self._store.waits
        self.weighs = True
        self.health: HealthBoard | None = self._store.health
        self._slots = dict(config.slots)
        self._services: dict[str, ServiceTime] = {}
        self._lock = threading.Lock()
        # What happened to requests, for the service times: noted without waiting for the lock.
        self._news: deque[tuple[str, float, bool, float | None, int]] = deque()

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; called with a lock held.

        :param candidates: who may answer, at least one, in the caller's order.
        :param ask: what is known of the request.
        :param now: seconds of a clock that never goes back.
        :return: the plan; and the candidates in the order in which to go on.
        """
        raise NotImplementedError

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> CountedAdmission:
        """Decide where a request goes and count it there; see :meth:`andon.routing.Router.admit`.

        :raises Rejected: every candidate has too much to do.
        """
        if not candidates:
            raise Rejected("nobody is there to be asked", reason="no_backend")
        with self._lock:
            self._catch_up()
            plan, ranked = self.plan(candidates, ask, now)
        ticket = self._store.take(plan, ask, now)
        self.note(ticket.option.name, now)
        return CountedAdmission(self, self._store, ticket, ranked, ask)

    def set_slots(self, backend: str, slots: int) -> None:
        """Say how many requests a backend serves at a time, from now on.

        :param backend: its name.
        :param slots: how many.
        :raises SettingsError: it is no whole number above 0.
        """
        check_whole(f"slots.{backend}", slots, least=1)
        self._slots[backend] = slots
        self._store.resize(backend, slots)

    def note_slots(self, backend: str, slots: int | None) -> None:
        """Take note of how many requests a backend says that it serves at a time.

        What the settings say goes before.

        :param backend: its name.
        :param slots: how many; None where it does not tell.
        """
        if slots is not None and slots > 0 and backend not in self._config.slots:
            self.set_slots(backend, slots)

    def load(self, backend: str) -> Load:
        """Return how busy a backend is."""
        return self._store.load(backend)

    def service_time(self, backend: str, now: float) -> float:
        """Return the seconds that a request of usual size is expected to take.

        :param backend: the backend's name.
        :param now: seconds of the clock that requests came with.
        """
        with self._lock:
            self._catch_up()
            return self._service(backend).seconds(now)

    def close(self) -> None:
        """Let go of what the store holds open."""
        self._store.close()

    def option(self, candidate: Candidate, ask: Ask, now: float) -> Option:
        """Return a candidate as an option."""
        name = candidate.spec.name
        slots = self._slots.get(name)
        if slots is None and candidate.spec.locality in NEAR:
            slots = self._config.default_slots or None
        service = self._service(name)
        return Option(
            candidate,
            slots,
            self._config.max_queue_depth,
            service.seconds(now) / (slots or self._config.default_slots or 1),
            service.weigh(ask.tokens),
        )

    def note(
        self,
        backend: str,
        now: float,
        *,
        begins: bool = True,
        seconds: float | None = None,
        tokens: int = 0,
    ) -> None:
        """Take note of a request that begins or ends at a backend; never blocks."""
        self._news.append((backend, now, begins, seconds, tokens))

    def _catch_up(self) -> None:
        while self._news:
            backend, now, begins, seconds, tokens = self._news.popleft()
            service = self._service(backend)
            if begins:
                service.begin(now)
            else:
                service.end(now, seconds, tokens)

    def _service(self, backend: str) -> ServiceTime:
        service = self._services.get(backend)
        if service is None:
            # One for all, whoever comes first.
            service = self._services.setdefault(
                backend, ServiceTime(self._config.service_time, self._config.half_life)
            )
        return service


class CountedAdmission:
    """A request that is counted at one backend; see :class:`andon.routing.Admission`."""

    __slots__ = ("_ask", "_open", "_router", "_store", "_ticket", "order", "turn")

    def __init__(
        self,
        router: CountedRouter,
        store: LoadStore,
        ticket: Any,
        ranked: Sequence[Candidate],
        ask: Ask,
    ) -> None:
        self._router = router
        self._store = store
        self._ticket = ticket
        self._ask = ask
        # Emptied by whoever leaves first.
        self._open = [None]
        first: Candidate = ticket.option.candidate
        self.order: Sequence[Candidate] = ranked
        if ranked[0] is not first:
            self.order = [first, *(other for other in ranked if other is not first)]
        self.turn: Turn | None = ticket.turn

    def move(self, candidate: Candidate, now: float) -> None:
        """Count the request at another candidate; see :meth:`andon.routing.Admission.move`."""
        if candidate.spec.name == self._ticket.option.name or not self._open:
            return
        self._end(now, None)
        self._store.move(self._ticket, self._router.option(candidate, self._ask, now), now)
        self._router.note(candidate.spec.name, now)

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        """Count the request no more; see :meth:`andon.routing.Admission.leave`."""
        try:
            self._open.pop()
        except IndexError:
            return
        begun = self._ticket.begun
        self._end(now, now - begun if answered and begun is not None else None, tokens)
        self._store.leave(self._ticket, now)

    def _end(self, now: float, seconds: float | None, tokens: int = 0) -> None:
        name = self._ticket.option.name
        size = self._ask.tokens or tokens
        self._router.note(name, now, begins=False, seconds=seconds, tokens=size)


def behind(first: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return some candidates, and behind them the others, those at rest last."""
    taken = {id(one) for one in first}
    rest = [other for other in candidates if id(other) not in taken]
    return [*first, *healthy_first(rest)]


def healthy(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return the candidates that are not at rest; all where every one is."""
    return [candidate for candidate in candidates if candidate.healthy] or candidates
