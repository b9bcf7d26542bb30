"""The conformance class for routing strategies."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest

from andon.errors import Rejected, SettingsError
from andon.routing import Admission, Ask, Candidate, Router, Turn
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec, Locality, RouterSpec
from andon.testing.conformance.contract import (
    ADMIT,
    LEAVE,
    MOVE,
    REJECTED,
    RESTING,
    ROUTER_OPTIONS,
    ROUTER_SHARING,
    TURNS,
    Clause,
    check,
    fail,
)
from andon.testing.conformance.records import RecordConformance
from andon.testing.queueing import Arrival, simulate

_THREADS = 8
_ROUNDS = 50
#: Requests after which a router that has let all of them in is taken for one without a limit.
_MANY = 200


def _unused(context: BackendContext) -> Any:
    raise NotImplementedError


def candidate(
    name: str, locality: Locality = Locality.LOCAL, cost: int = 0, *, healthy: bool = True
) -> Candidate:
    """Return somebody who may answer; nobody is ever asked.

    :param name: the backend's name.
    :param locality: where the backend is.
    :param cost: the most that the request may cost there, in nano-dollars.
    :param healthy: whether the backend is not resting from failures.
    """
    spec = BackendSpec(name=name, create=_unused, locality=locality)
    return Candidate(ModelRef(name, "m"), spec, cost, healthy)


HOME, NEAR = candidate("home"), candidate("near", Locality.PRIVATE, 10)
CLOUD, ILL = candidate("cloud", Locality.PUBLIC, 100), candidate("ill", healthy=False)
ALL_FOUR = (ILL, HOME, NEAR, CLOUD)


#: Each test begins later than the one before has ended: a server may remember their times.
_STARTS = (1e8 * number for number in itertools.count(1))


class Tidy(Router):
    """A router whose clock begins late, and that keeps who was let in, so that all can leave.

    :param inner: the router.
    """

    def __init__(self, inner: Router) -> None:
        self._inner, self._start = inner, next(_STARTS)
        self._inside: list[Admission] = []
        # A router that does not say so is found out by a test.
        for name in ("waits", "weighs"):
            setattr(self, name, getattr(inner, name, None))

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        """Decide; see :meth:`andon.routing.Router.admit`."""
        admission = _Later(self._inner.admit(candidates, ask, self._start + now), self._start)
        self._inside.append(admission)
        return admission

    def empty(self) -> None:
        """Let everybody leave."""
        for admission in self._inside:
            with suppress(Exception):
                admission.leave(5e7, answered=False)


@dataclass(frozen=True, slots=True)
class _Later:
    """An admission whose clock begins late."""

    inner: Admission
    start: float

    @property
    def order(self) -> Sequence[Candidate]:
        return self.inner.order

    @property
    def turn(self) -> Turn | None:
        return self.inner.turn

    def move(self, candidate: Candidate, now: float) -> None:
        self.inner.move(candidate, self.start + now)

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        self.inner.leave(self.start + now, tokens=tokens, answered=answered)


class RouterConformance(RecordConformance[RouterSpec]):
    """What every routing strategy must do. Subclass it, give the facts, and run pytest.

    ::

        class TestRouter(RouterConformance):
            plugin = andon_example
            options = {"most": 2}

    A router that shares its counts through a server must find an empty place there in each test:
    override the fixture ``router``, and yield a :class:`Tidy` one.
    """

    hook = "andon_register_routers"
    #: The strategy's settings, as under ``[routing]`` but for ``strategy``.
    options: ClassVar[Mapping[str, Any]] = {}

    #: Seconds to wait for a turn that comes through a server; others come at once.
    patience: ClassVar[float] = 2.0

    @pytest.fixture
    def router(self, spec: RouterSpec) -> Iterator[Router]:
        """Return a router at which nobody is counted; whoever is left in the end leaves."""
        shared = Tidy(spec.create(dict(self.options)))
        yield shared
        shared.empty()

    # -- Deciding -----------------------------------------------------------------------------

    def test_it_says_what_it_is_like(self, router: Router) -> None:
        """The corridor asks first whether a decision may take long, and goes by weights."""
        for name in ("waits", "weighs"):
            found = getattr(router, name, None)
            check(isinstance(found, bool), f"{name} of the router is {found!r}", ROUTER_SHARING)

    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    def test_it_decides_among_the_candidates(self, router: Router, count: int) -> None:
        """Whom to ask are some of the candidates, nobody twice."""
        given = ALL_FOUR[-count:]
        for step in range(8):
            admission = _admit(router, given, float(step))
            if admission is not None:
                _check_order(admission.order, given)
                admission.leave(step + 0.5)

    def test_candidates_at_rest_come_last(self, router: Router) -> None:
        """Nobody is asked who rests from failures, while somebody else could be."""
        for step in range(8):
            admission = _admit(router, ALL_FOUR, float(step))
            if admission is not None:
                rests = [not one.healthy for one in admission.order]
                names = [one.spec.name for one in admission.order]
                check(rests == sorted(rests), f"the order is {names}, and ill rests", RESTING)
                admission.leave(step + 0.5)
        last = _admit(router, [ILL], 9.0)
        check(last is None or last.order, "with one candidate nobody is asked", ADMIT)

    def test_any_request_is_weighed(self, router: Router) -> None:
        """Weights, priorities and keys of any size do no harm."""
        for step, ask in enumerate((Ask(), Ask(10**9, -5, "ä"), Ask(1, 10**6, "x" * 1000))):
            admission = _admit(router, ALL_FOUR, float(step), ask)
            if admission is not None:
                admission.leave(step + 0.5, tokens=ask.tokens)

    # -- Counting -----------------------------------------------------------------------------

    def test_a_request_moves_and_leaves_once(self, router: Router) -> None:
        """A request may go on elsewhere, and leave again and again."""
        admission = _admit(router, ALL_FOUR, 0.0)
        if admission is None:
            pytest.skip("the router lets nobody in")
        for step, other in enumerate([*admission.order, *admission.order]):
            _guarded(partial(admission.move, other, step + 1.0), MOVE)
        for step in range(3):
            _guarded(partial(admission.leave, 20.0 + step, answered=False), LEAVE)

    def test_who_waits_is_let_in(self, router: Router) -> None:
        """A place that is free again goes to somebody who waits for it."""
        inside, waiting = _fill(router)
        come = _bell(waiting)
        for step, admission in enumerate(inside):
            admission.leave(1.0 + step)
        wanted = min(len(inside), len(waiting))
        came = sum(come.acquire(timeout=self._wait_for(router)) for _ in range(wanted))
        fact = f"{len(inside)} left, and of {len(waiting)} who waited {came} came in"
        check(came == wanted, fact, TURNS)

    def test_only_the_first_leaving_counts(self, router: Router) -> None:
        """Whoever leaves twice makes one place free, and not two."""
        inside, waiting = _fill(router)
        if len(waiting) < 2:
            pytest.skip("nobody has to wait, or not long enough")
        come = _bell(waiting)
        inside[0].leave(1.0)
        while come.acquire(timeout=self._wait_for(router, 0.1)):
            pass
        inside[0].leave(2.0)
        again = come.acquire(timeout=self._wait_for(router, 0.1))
        check(not again, "leaving twice let somebody in each time", LEAVE)

    def test_who_gives_up_waiting_is_passed_over(self, router: Router) -> None:
        """Who leaves while it waits gets no turn, and takes none from anybody."""
        inside, waiting = _fill(router)
        if len(waiting) < 2:
            pytest.skip("nobody has to wait, or not long enough")
        waiting[0].leave(1.0, answered=False)
        inside[0].leave(2.0)
        turn = waiting[1].turn
        came = turn is not None and turn.wait(self._wait_for(router))
        check(came, "the next one in the queue got no turn", TURNS)

    def test_everybody_leaves_an_empty_house(self, router: Router) -> None:
        """After all have left, a new request is let in at once."""
        inside, waiting = _fill(router)
        for step, admission in enumerate([*inside, *waiting]):
            admission.leave(1.0 + step)
        _check_empty(router, 1e6, LEAVE, self._wait_for(router))

    # -- Under load ---------------------------------------------------------------------------

    @pytest.mark.parametrize("seed", range(3))
    def test_a_load(self, router: Router, seed: int) -> None:
        """Whatever comes is served, rejected, or gives up; nobody waits for ever."""
        if router.waits:
            pytest.skip("its turns come by the clock of a server, and not of a simulation")
        dice = random.Random(seed)  # noqa: S311  no secret
        now, arrivals = 0.0, []
        for _ in range(1000):
            now += dice.expovariate(4.0)
            patience = dice.choice([None, None, dice.uniform(0, 5)])
            ask = Ask(dice.randrange(4000), dice.randrange(3), dice.choice(["", "a", "b"]))
            service = dice.expovariate(0.5)
            arrivals.append(Arrival(now, service, ask, patience, fails=dice.random() < 0.1))
        visits = simulate(router, ALL_FOUR, arrivals, {"home": 2, "near": 2})
        stuck = [visit for visit in visits if visit.ended is None]
        check(not stuck, f"{len(stuck)} of {len(visits)} requests wait for ever", TURNS)
        _check_empty(router, now + 1e6, LEAVE, self._wait_for(router))

    def test_threads_at_once(self, router: Router) -> None:
        """Many threads come and go, and nothing is left behind."""
        errors: list[Exception] = []

        def come_and_go(seed: int) -> None:
            dice = random.Random(seed)  # noqa: S311  no secret
            for step in range(_ROUNDS):
                try:
                    admission = router.admit(ALL_FOUR, Ask(tokens=dice.randrange(100)), step * 0.01)
                    if dice.random() < 0.3:
                        admission.move(dice.choice(list(admission.order)), step * 0.01)
                    admission.leave(step * 0.01 + 0.005)
                except Rejected:
                    pass
                except Exception as error:  # noqa: BLE001  told by the test
                    errors.append(error)

        threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not errors, f"in threads it raised {errors[:1]!r}", ROUTER_SHARING)
        _check_empty(router, 1e6, ROUTER_SHARING, self._wait_for(router))

    def _wait_for(self, router: Router, seconds: float | None = None) -> float:
        """Return how long to wait for a turn: not at all where it comes at once."""
        return (seconds or self.patience) if router.waits else 0.0

    # -- Settings -----------------------------------------------------------------------------

    def test_an_unknown_setting(self, spec: RouterSpec) -> None:
        """A setting that nobody knows is a mistake, and said so."""
        try:
            spec.create({**self.options, "no_such_option": 1})
        except SettingsError as error:
            named = "no_such_option" in str(error)
            check(named, f"the error does not name the setting: {error}", ROUTER_OPTIONS)
        except Exception as error:  # noqa: BLE001  told by the test
            fail(f"an unknown setting became {error!r}", ROUTER_OPTIONS)
        else:
            fail("an unknown setting is passed over", ROUTER_OPTIONS)


def _admit(
    router: Router, given: Sequence[Candidate], now: float, ask: Ask | None = None
) -> Admission | None:
    """Return the admission, or None where the request is rejected."""
    try:
        return router.admit(given, ask or Ask(), now)
    except Rejected as error:
        wait = error.retry_after
        check(wait is None or wait >= 0, f"retry_after is {wait}", REJECTED)
        return None
    except Exception as error:  # noqa: BLE001  told by the test
        fail(f"it raised {error!r}", REJECTED)


def _guarded(step: Callable[[], object], clause: Clause) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001  told by the test
        fail(f"it raised {error!r}", clause)


def _check_order(order: Sequence[Candidate], given: Sequence[Candidate]) -> None:
    names = [one.spec.name for one in order]
    check(names, "nobody is asked, and nothing was raised", ADMIT)
    strangers = [one.spec.name for one in order if one not in given]
    check(not strangers, f"{strangers} were not among the candidates", ADMIT)
    check(len(set(names)) == len(names), f"somebody is asked twice: {names}", ADMIT)


def _check_empty(router: Router, now: float, clause: Clause, patience: float) -> None:
    """Check that nobody is counted any more: everybody can be asked at once."""
    for one in ALL_FOUR:
        late = _admit(router, [one], now)
        free = late is not None and (late.turn is None or late.turn.wait(patience))
        fact = f"all have left, and a request to {one.spec.name!r} has to wait or is rejected"
        check(free, fact, clause)


def _bell(waiting: Sequence[Admission]) -> threading.Semaphore:
    """Return what can be acquired once for everybody whose turn comes."""
    bell = threading.Semaphore(0)
    for admission in waiting:
        if admission.turn is not None and admission.turn.notify(bell.release):
            bell.release()
    return bell


def _fill(router: Router) -> tuple[list[Admission], list[Admission]]:
    """Let requests in at one backend until some wait; return those inside, and those who wait."""
    inside: list[Admission] = []
    waiting: list[Admission] = []
    for _ in range(_MANY):
        admission = _admit(router, [HOME], 0.0)
        if admission is None:
            break
        (inside if admission.turn is None or admission.turn.come else waiting).append(admission)
    return inside, waiting
