"""Spillover: a full backend's requests go to others, before anybody waits too long."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from andon.errors import Rejected, SettingsError
from andon.privacy import PrivacyTier
from andon.routing.contract import Admission, Ask, Candidate
from andon.routing.counted import CountedAdmission, CountedRouter, behind, healthy
from andon.routing.load import Group, LoadStore, Marks, Option, Plan
from andon.routing.options import LoadConfig, check_number, check_whole
from andon.routing.strategies import draw
from andon.selection import BackendSelector, ModelRef, ServingBackend
from andon.specs import BackendContext, BackendSpec, Locality

if TYPE_CHECKING:
    from andon.backends import Backend

#: How far a backend is, in steps: one's own machines, one's own clouds, everybody's.
_DISTANCE = {Locality.IN_PROCESS: 0, Locality.LOCAL: 0, Locality.PRIVATE: 1, Locality.PUBLIC: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig(LoadConfig):
    """When requests spill over, and where to. Times are in seconds.

    :param local_backend: the backend that is asked first; None for the first of a request's
        candidates.
    :param spillover_backends: the backends that may take what spills over; None for every other
        candidate.
    :param spillover_threshold: requests under way and waiting at a backend from which on further
        ones spill over.
    :param latency_objective: predicted wait above which requests spill over as well; None, or
        infinity, for any.
    :param calm: share of both below which a backend that was overloaded takes requests again; 1
        for no hysteresis.
    :param privacy: where spilled requests may go.
    :raises SettingsError: a value is wrong.
    """

    local_backend: str | None = None
    spillover_backends: Sequence[str] | None = None
    spillover_threshold: int = 10
    latency_objective: float | None = 2.0
    calm: float = 0.5
    privacy: PrivacyTier = PrivacyTier.STANDARD

    def __post_init__(self) -> None:
        LoadConfig.__post_init__(self)
        check_whole("spillover_threshold", self.spillover_threshold, least=1)
        if self.latency_objective is not None:
            check_number("latency_objective", self.latency_objective)
        check_number("calm", self.calm, most=1)
        names = self.spillover_backends
        if names is not None and (
            isinstance(names, str) or not all(isinstance(name, str) for name in names)
        ):
            raise SettingsError("routing.spillover_backends: a list of names of backends")
        try:
            # Settings have its name.
            object.__setattr__(self, "privacy", PrivacyTier(self.privacy))
        except ValueError as error:
            raise SettingsError(f"routing.privacy: {error}") from error

    @classmethod
    def sovereign(cls, **values: Any) -> RouterConfig:
        """Return a config that never lets a request leave: what finds no room is rejected.

        :param values: the other values.
        """
        own = {"spillover_backends": (), "privacy": PrivacyTier.SOVEREIGN}
        return cls(**{**values, **own})


@dataclass(frozen=True, slots=True)
class Local:
    """The local backend takes the request.

    :param backend: its name.
    """

    backend: str
    admission: Admission | None = field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Spillover:
    """Another backend takes the request.

    :param backend: its name.
    """

    backend: str
    admission: Admission | None = field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Reject:
    """No backend has room.

    :param reason: ``"queue_full"`` or ``"over_share"``; see :class:`andon.Rejected`.
    :param retry_after: seconds after which a request is predicted to be served.
    """

    reason: str
    retry_after: float = field(default=0.0, compare=False)


Decision: TypeAlias = Local | Spillover | Reject


class SpilloverRouter(CountedRouter):
    """Asks the first candidate, and others while it is overloaded.

    A backend is overloaded when its predicted wait passes the latency objective, or its depth the
    threshold, until both are calm again. What spills over goes to a backend that is not: the
    nearest first, there the cheapest, and of those that cost the same the less busy of two drawn at
    random. When everybody is overloaded the one with the least wait takes the request; when
    everybody is full, nobody.

    :param config: when and where to.
    :param store: keeps the counts and queues; in this process where None.
    :param random: draws the backends that are compared.
    :param clock: tells the time where :meth:`route` and its like are not told.
    """

    def __init__(
        self,
        config: RouterConfig | None = None,
        store: LoadStore | None = None,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config = config or RouterConfig()
        super().__init__(config, store)
        self.config = config
        self._random = random or Random()  # noqa: S311  not for secrets
        self._clock = clock
        wait = config.latency_objective
        self._marks = Marks(
            None if wait == math.inf else wait, config.spillover_threshold, config.calm
        )
        local = config.local_backend or BackendSelector(PrivacyTier.SOVEREIGN).recommend()[0]
        self._places = [
            place_of(local, Locality.LOCAL),
            *(place_of(name) for name in config.spillover_backends or ()),
        ]
        self._started: dict[str, deque[Admission]] = {}

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; see :meth:`CountedRouter.plan`."""
        present = healthy(candidates)
        home = self._home(present)
        targets = sorted((one for one in present if self._may_take(one, home)), key=_rank)
        ranked = behind([home, *targets], self._allowed(candidates))
        return self._groups(home, targets, ask, now), ranked

    def _groups(
        self, home: Candidate, targets: Sequence[Candidate], ask: Ask, now: float
    ) -> Iterator[Group]:
        first = self.option(home, ask, now)
        if not targets:
            yield Group([first])
            return
        yield Group([first], self._marks)
        everybody = [first]
        for _, equals in groupby(targets, key=_rank):
            options = [self._target(one, ask, now) for one in equals]
            yield from draw(options, 2, self._random, self._marks)
            everybody += options
        # When all are overloaded.
        yield Group(everybody)

    # -- On its own, without a client --------------------------------------------------------

    def route(self, ask: Ask = Ask(), *, now: float | None = None) -> Decision:  # noqa: B008
        """Decide where a request goes and count it there, in one step.

        What was not rejected is to be given back with :meth:`finish`.

        :param ask: what is known of the request.
        :param now: seconds of a clock that never goes back; the router's own where None.
        """
        try:
            admission = self.admit(self._places, ask, self._time(now))
        except Rejected as error:
            return Reject(error.reason, error.retry_after or 0.0)
        name = admission.order[0].spec.name
        self._started.setdefault(name, deque()).append(admission)
        if name == self._places[0].spec.name:
            return Local(self._places[0].ref.backend, admission=admission)
        return Spillover(name, admission=admission)

    def start(self, backend: str, ask: Ask = Ask(), *, now: float | None = None) -> None:  # noqa: B008
        """Count a request at a backend that somebody else has chosen, however full it is.

        :param backend: its name.
        :param ask: what is known of the request.
        :param now: see :meth:`route`.
        """
        moment = self._time(now)
        option = self.option(place_of(backend), ask, moment)
        option.most = None
        ticket = self._store.take([Group([option])], ask, moment)
        self.note(backend, moment)
        admission = CountedAdmission(self, self._store, ticket, [option.candidate], ask)
        self._started.setdefault(backend, deque()).append(admission)

    def finish(
        self,
        backend: str | Local | Spillover,
        *,
        now: float | None = None,
        tokens: int = 0,
        answered: bool = True,
    ) -> None:
        """Count a request no more.

        :param backend: what :meth:`route` decided; or a backend's name, for whichever request
            began there first.
        :param now: see :meth:`route`.
        :param tokens: tokens of prompt and answer as they were.
        :param answered: whether the backend answered in full.
        """
        name = backend if isinstance(backend, str) else backend.backend
        started = self._started.get(name)
        admission = None if isinstance(backend, str) else backend.admission
        try:
            if admission is None:
                admission = started.popleft() if started else None
            elif started:
                started.remove(admission)
        except (IndexError, ValueError):
            # Finished already; a count never falls below nothing.
            return
        if admission is not None:
            admission.leave(self._time(now), tokens=tokens, answered=answered)

    def _time(self, now: float | None) -> float:
        return self._clock() if now is None else now

    # -- Who is who --------------------------------------------------------------------------

    def _home(self, candidates: Sequence[Candidate]) -> Candidate:
        wanted = self.config.local_backend
        named = (one for one in candidates if one.spec.name == wanted)
        return next(named, candidates[0])

    def _allowed(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [one for one in candidates if self.config.privacy.allows(one.spec.locality)]

    def _may_take(self, candidate: Candidate, home: Candidate) -> bool:
        names = self.config.spillover_backends
        return (
            candidate.spec.name != home.spec.name
            and (names is None or candidate.spec.name in names)
            and self.config.privacy.allows(candidate.spec.locality)
        )

    def _target(self, candidate: Candidate, ask: Ask, now: float) -> Option:
        option = self.option(candidate, ask, now)
        # A provider without slots has no queue of ours that could be too long.
        option.endless = option.slots is None
        return option


def _rank(candidate: Candidate) -> tuple[int, int]:
    return _DISTANCE[candidate.spec.locality], candidate.cost


def place_of(backend: str, locality: Locality | None = None) -> Candidate:
    """Return a backend as a candidate that is only counted, never asked.

    :param backend: its name.
    :param locality: where it is; where it usually runs if None, and public if nobody knows.
    """
    name = str(backend)
    spec = BackendSpec(name=name, create=_create_nothing, locality=locality or _usual(name))
    return Candidate(ModelRef(backend, ""), spec)


def _usual(name: str) -> Locality:
    if name not in ServingBackend.__members__.values():
        return Locality.PUBLIC
    backend = ServingBackend(name)
    for tier, locality in (
        (PrivacyTier.SOVEREIGN, Locality.LOCAL),
        (PrivacyTier.PRIVATE, Locality.PRIVATE),
    ):
        if not BackendSelector(tier).explain()[backend]:
            return locality
    return Locality.PUBLIC


def _create_nothing(context: BackendContext) -> Backend:
    raise NotImplementedError("a router on its own asks nobody")
