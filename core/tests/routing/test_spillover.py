"""What spillover promises, under simulated loads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import Locality, Rejected
from andon.backends import Backend
from andon.privacy import PrivacyTier
from andon.routing import (
    Ask,
    Candidate,
    LeastBusy,
    Local,
    Reject,
    Router,
    RouterConfig,
    Spillover,
    SpilloverRouter,
    create_router,
)
from andon.routing.strategies import LeastBusyConfig
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec
from andon.testing.queueing import Arrival, Visit, poisson, simulate

SLOTS = 4
SERVICE = 2.0
OBJECTIVE = 2.0


def _nothing(context: BackendContext) -> Backend:
    raise NotImplementedError


def one(name: str, locality: Locality = Locality.LOCAL, cost: int = 0) -> Candidate:
    spec = BackendSpec(name=name, create=_nothing, locality=locality)
    return Candidate(ModelRef(name, "m"), spec, cost)


HOME = one("home")
CLOUD = one("cloud", Locality.PUBLIC, 100)


def lognormal(random: Random) -> float:
    """Draw seconds of service with the mean ``SERVICE``."""
    return random.lognormvariate(math.log(SERVICE) - 0.32, 0.8)


def config(**values: Any) -> RouterConfig:
    return RouterConfig(**{"slots": {"home": SLOTS}, "service_time": SERVICE, **values})


POLICIES: dict[str, RouterConfig] = {
    "depth": config(latency_objective=None, calm=1.0),
    "wait": config(spillover_threshold=1000, max_queue_depth=1000, calm=1.0),
    "hysteresis": config(spillover_threshold=1000, max_queue_depth=1000),
    "ours": config(),
}


@cache
def run(policy: str, load: float, number: int = 12_000) -> tuple[SpilloverRouter, list[Visit]]:
    router = SpilloverRouter(POLICIES[policy], random=Random(2))
    traffic = poisson(Random(1), rate=load * SLOTS / SERVICE, count=number, service=lognormal)
    return router, simulate(router, [HOME, CLOUD], traffic, {"home": SLOTS})


def spilled(visits: Sequence[Visit]) -> float:
    return sum(visit.backend == "cloud" for visit in visits) / len(visits)


def missed(visits: Sequence[Visit], objective: float = OBJECTIVE) -> float:
    return sum(visit.wait > objective for visit in visits) / len(visits)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# -- Counting (SP-01, SP-02) ----------------------------------------------------------------------


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "admit", "leave", "move", "twice", "resize"]),
        st.integers(0, 30),
        st.floats(0, 5),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 3), st.integers(1, 6), st.booleans())
@settings(max_examples=150)
def test_what_is_in_flight_is_what_was_let_in_and_has_not_left(
    steps: list[tuple[str, int, float]], slots: int, depth: int, spills: bool
) -> None:
    values: dict[str, Any] = {"slots": {"home": slots}, "max_queue_depth": depth}
    router = SpilloverRouter(RouterConfig(**values) if spills else RouterConfig.sovereign(**values))
    inside: list[Any] = []
    place: dict[int, str] = {}
    now = 0.0
    for step, number, later in steps:
        now += later
        chosen = inside[number % len(inside)] if inside else None
        if step == "admit":
            try:
                admission = router.admit([HOME, CLOUD], Ask(priority=number % 3), now)
            except Rejected:
                continue
            inside.append(admission)
            place[id(admission)] = admission.order[0].spec.name
        elif step == "resize":
            router.set_slots("home", 1 + number % 4)
        elif chosen is not None and step == "move":
            target = (HOME, CLOUD)[number % 2]
            chosen.move(target, now)
            place[id(chosen)] = target.spec.name
        elif chosen is not None:
            inside.remove(chosen)
            chosen.leave(now, answered=number % 2 == 0)
            if step == "twice":
                chosen.leave(now)
                chosen.move(CLOUD, now)
        for name in ("home", "cloud"):
            load = router.load(name)
            assert load.in_flight == sum(place[id(one)] == name for one in inside)
            assert 0 <= load.waiting <= load.in_flight
    for admission in inside:
        admission.leave(now)
    assert router.load("home").in_flight == router.load("cloud").in_flight == 0


def test_requests_that_come_at_once_see_each_other() -> None:
    router = SpilloverRouter(config(latency_objective=None))
    places = [router.admit([HOME, CLOUD], Ask(), 0.0).order[0] for _ in range(60)]
    assert places == [HOME] * 10 + [CLOUD] * 50
    # Nobody is calm any more: the rest of home's queue is filled, and no place more.
    last = [router.admit([HOME, CLOUD], Ask(), 0.0).order[0] for _ in range(40)]
    assert last == [HOME] * 40
    with pytest.raises(Rejected):
        router.admit([HOME, CLOUD], Ask(), 0.0)


def test_failures_and_impatience_leave_nothing_behind() -> None:
    random = Random(3)
    arrivals = [
        Arrival(
            n * 0.3, lognormal(random), patience=random.choice([None, 0.5, 3.0]), fails=n % 3 == 0
        )
        for n in range(3_000)
    ]
    router = SpilloverRouter(config(), random=Random(4))
    visits = simulate(router, [HOME, CLOUD], arrivals, {"home": SLOTS})
    assert any(visit.begun is None for visit in visits)
    assert router.load("home").in_flight == router.load("cloud").in_flight == 0


# -- When requests spill over (SP-03, SP-04, SP-05) ----------------------------------------------


@pytest.mark.parametrize("load", [0.9, 1.2, 2.0])
def test_littles_law(load: float) -> None:
    router, visits = run("ours", load)
    end = max(visit.ended or 0.0 for visit in visits)
    mean_queue = router.load("home").waited / end
    rate = len(visits) / end
    mean_wait = sum(visit.wait for visit in visits) / len(visits)
    assert mean_queue == pytest.approx(rate * mean_wait, rel=0.02)


@pytest.mark.parametrize("load", [0.9, 1.2, 2.0])
def test_hysteresis_halves_the_flips(load: float) -> None:
    with_it, without = run("hysteresis", load)[0], run("wait", load)[0]
    assert with_it.load("home").flips <= without.load("home").flips * 0.6
    if load >= 1.2:
        assert with_it.load("home").flips <= without.load("home").flips * 0.5


@pytest.mark.parametrize("load", [0.9, 1.2, 2.0])
def test_fewer_wait_too_long_than_under_a_fixed_depth(load: float) -> None:
    ours, plain = run("ours", load)[1], run("depth", load)[1]
    assert missed(ours) <= missed(plain) * 0.5
    assert spilled(ours) <= spilled(plain) + 0.07


def test_no_fixed_depth_does_as_well_when_requests_change() -> None:
    """Short requests by day, long ones by night: a depth that suits both is not to be found."""

    def traffic() -> list[Arrival]:
        random, now, arrivals = Random(5), 0.0, []
        for _ in range(5_000):
            mean = 0.5 if int(now / 300) % 2 else 4.0
            now += random.expovariate(1.1 * SLOTS / mean)
            service = random.lognormvariate(math.log(mean) - 0.125, 0.5)
            arrivals.append(Arrival(now, service))
        return arrivals

    def play(**values: Any) -> tuple[float, float]:
        router = SpilloverRouter(config(max_queue_depth=1000, **values), random=Random(6))
        visits = simulate(router, [HOME, CLOUD], traffic(), {"home": SLOTS})
        return spilled(visits), missed(visits)

    spill, miss = play(spillover_threshold=1000, calm=1.0)
    for depth in range(4, 18):
        its_spill, its_miss = play(spillover_threshold=depth, latency_objective=None, calm=1.0)
        assert its_spill > spill or its_miss > miss, depth


def test_waits_are_bounded_whatever_comes() -> None:
    for load in (0.9, 1.2, 2.0):
        waits = [visit.wait for visit in run("ours", load)[1]]
        assert percentile(waits, 0.99) <= 1.75 * OBJECTIVE
        assert not any(visit.retry_after is not None for visit in run("ours", load)[1])


# -- Where to (SP-06, SP-07) ----------------------------------------------------------------------


@given(st.lists(st.sampled_from(["lan", "vpc", "cloud", "market"]), unique=True), st.data())
@settings(max_examples=60)
def test_what_privacy_forbids_is_never_taken(present: list[str], data: st.DataObject) -> None:
    places = {
        "lan": one("lan"),
        "vpc": one("vpc", Locality.PRIVATE, 10),
        "cloud": one("cloud", Locality.PUBLIC, 5),
        "market": one("market", Locality.PUBLIC, 1),
    }
    tier = data.draw(st.sampled_from(PrivacyTier))
    router = SpilloverRouter(
        RouterConfig(privacy=tier, slots={"home": 1, "lan": 1}, max_queue_depth=3)
    )
    candidates = [HOME, *(places[name] for name in present)]
    for number in range(30):
        try:
            admission = router.admit(candidates, Ask(), 0.0)
        except Rejected:
            continue
        assert all(tier.allows(candidate.spec.locality) for candidate in admission.order)
        if number % 7 == 6:
            admission.leave(0.0)


def test_settings_name_the_tier() -> None:
    router = create_router("spillover", {"privacy": "private", "spillover_threshold": 1})
    vpc = one("vpc", Locality.PRIVATE)
    first, second = (router.admit([HOME, CLOUD, vpc], Ask(), 0.0) for _ in range(2))
    assert (first.order, second.order) == ([HOME, vpc], [vpc, HOME])


def test_the_nearest_goes_first_then_the_cheapest() -> None:
    lan, vpc = one("lan"), one("vpc", Locality.PRIVATE, 10)
    dear, cheap = one("dear", Locality.PUBLIC, 5), one("cheap", Locality.PUBLIC, 1)
    router = SpilloverRouter(
        RouterConfig(slots={"home": 1, "lan": 1}, spillover_threshold=2, max_queue_depth=2)
    )
    places = [router.admit([HOME, dear, cheap, vpc, lan], Ask(), 0.0).order[0] for _ in range(10)]
    assert places == [HOME, HOME, lan, lan, vpc, vpc, cheap, cheap, dear, dear]


def test_only_named_backends_take_what_spills_over() -> None:
    router = SpilloverRouter(
        RouterConfig(local_backend="lan", spillover_backends=["vpc"], spillover_threshold=1)
    )
    candidates = [HOME, CLOUD, one("vpc", Locality.PRIVATE), one("lan")]
    first, second = (router.admit(candidates, Ask(), 0.0) for _ in range(2))
    assert [one.spec.name for one in first.order] == ["lan", "vpc", "home", "cloud"]
    assert second.order[0].spec.name == "vpc"


def test_two_choices_are_nearly_as_good_as_all_and_far_better_than_chance() -> None:
    """Six equal backends at 83 % of their capacity."""
    names = [f"b{number}" for number in range(6)]
    candidates = [one(name, Locality.PUBLIC) for name in names]
    slots = dict.fromkeys(names, SLOTS)

    class Chance(LeastBusy):
        def plan(self, candidates: Any, ask: Ask, now: float) -> Any:
            return super().plan([self._random.choice(candidates)], ask, now)

    def p99(make: Callable[[LeastBusyConfig, None, Random], Router], choices: int) -> float:
        settings = LeastBusyConfig(
            slots=slots, max_queue_depth=10_000, service_time=SERVICE, choices=choices
        )
        traffic = poisson(Random(7), rate=0.83 * 24 / SERVICE, count=20_000, service=lognormal)
        visits = simulate(make(settings, None, Random(8)), candidates, traffic, slots)
        return percentile([visit.wait for visit in visits], 0.99)

    full, two, chance = p99(LeastBusy, 0), p99(LeastBusy, 2), p99(Chance, 0)
    assert two <= 1.4 * full
    assert two <= 0.5 * chance


# -- Queues (SP-08, SP-09) ------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.integers(-2, 2), st.sampled_from(["", "a", "b"])),
        max_size=40,
    ),
    st.floats(0.1, 20),
)
@settings(max_examples=100)
def test_nobody_waits_behind_a_lower_priority_that_came_later(
    asks: list[tuple[float, int, str]], aging: float
) -> None:
    now, arrivals = 0.0, []
    for gap, priority, key in asks:
        now += gap
        arrivals.append(Arrival(now, 1.5, Ask(priority=priority, key=key)))
    router = SpilloverRouter(
        RouterConfig.sovereign(slots={"home": 1}, max_queue_depth=100, aging=aging)
    )
    visits = simulate(router, [HOME], arrivals, {"home": 1})
    served = sorted(
        (visit for visit in visits if visit.begun is not None), key=lambda v: v.begun or 0
    )
    for number, visit in enumerate(served):
        for later in served[number + 1 :]:
            if later.arrival.at < visit.arrival.at:
                assert visit.arrival.ask.priority >= later.arrival.ask.priority


def test_whoever_has_aged_does_not_bring_others_along() -> None:
    """A lower one that has waited long goes first, but not one that came after the higher one."""
    asks = {
        0.0: Ask(key="a"),
        0.1: Ask(key="a"),
        0.2: Ask(key="a"),
        6.0: Ask(key="high", priority=1),
        7.0: Ask(key="b"),  # by its share it would be before the second and third
    }
    arrivals = [Arrival(at, 8.0, ask) for at, ask in asks.items()]
    router = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}, aging=5))
    visits = simulate(router, [HOME], arrivals, {"home": 1})
    served = sorted(visits, key=lambda visit: visit.begun or 0)
    assert [visit.arrival.at for visit in served] == [0.0, 0.1, 0.2, 6.0, 7.0]


def test_nobody_starves() -> None:
    """A stream of higher ones that fills the backend for ever delays a lower one, within bounds."""
    high = [Arrival(n * 0.95, 1.0, Ask(priority=2, key=f"k{n}")) for n in range(200)]
    low = Arrival(0.5, 1.0, Ask(priority=0))
    arrivals = sorted([*high, low], key=lambda arrival: arrival.at)
    router = SpilloverRouter(
        RouterConfig.sovereign(slots={"home": 1}, aging=10, max_queue_depth=99)
    )
    visits = simulate(router, [HOME], arrivals, {"home": 1})
    waited = next(visit.wait for visit in visits if visit.arrival is low)
    assert 15 < waited <= 2 * 10 + 2


def test_new_keys_do_not_hold_up_an_old_one_for_ever() -> None:
    new = [Arrival(n * 0.95, 1.0, Ask(key=f"k{n}")) for n in range(300)]
    old = [Arrival(0.5, 1.0, Ask(key="old")) for _ in range(4)]
    arrivals = sorted([*new, *old], key=lambda arrival: arrival.at)
    router = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}, max_queue_depth=99))
    visits = simulate(router, [HOME], arrivals, {"home": 1})
    assert max(visit.wait for visit in visits if visit.arrival.ask.key == "old") <= 25


def test_keys_share_the_backend_whatever_they_ask_for() -> None:
    """One asks for ten times as much as the other; both get half while both want it."""
    greedy = [Arrival(0.0, 1.0, Ask(key="greedy")) for _ in range(30)]
    modest = [Arrival(0.1 + n * 2.0, 1.0, Ask(key="modest")) for n in range(10)]
    router = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}))
    visits = simulate(router, [HOME], [*greedy, *modest], {"home": 1})
    assert max(visit.wait for visit in visits if visit.arrival.ask.key == "modest") <= 2.0
    # Without keys the last would have waited for all thirty.
    nameless = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}))
    arrivals = [Arrival(visit.arrival.at, 1.0) for visit in visits]
    in_turn = simulate(nameless, [HOME], arrivals, {"home": 1})
    assert max(visit.wait for visit in in_turn[30:]) > 10.0


def test_a_large_request_counts_by_its_size() -> None:
    """Ten times the tokens, ten times the share."""
    router = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}))
    learned = [Arrival(n * 2.0, 1.0, Ask(tokens=100)) for n in range(30)]
    long = [Arrival(100.0, 10.0, Ask(tokens=1000, key="long")) for _ in range(5)]
    short = [Arrival(100.0, 1.0, Ask(tokens=100, key="short")) for _ in range(5)]
    visits = simulate(router, [HOME], [*learned, *long, *short], {"home": 1})
    assert max(visit.wait for visit in visits if visit.arrival.ask.key == "short") <= 25.0


def test_one_key_does_not_fill_the_queue() -> None:
    router = SpilloverRouter(RouterConfig.sovereign(slots={"home": 1}, max_queue_depth=50))
    flood = [Arrival(0.0, 1.0, Ask(key="flood")) for _ in range(60)]
    assert sum(visit.backend == "home" for visit in simulate(router, [HOME], flood, {})) < 50
    for _ in range(41):
        router.admit([HOME], Ask(key="flood"), 0.0)
    with pytest.raises(Rejected, match="kept for others") as raised:
        router.admit([HOME], Ask(key="flood"), 0.0)
    assert raised.value.reason == "over_share"
    router.admit([HOME], Ask(key="other"), 0.0)
    # Who has no key is nobody in particular.
    while router.load("home").in_flight < 50:
        router.admit([HOME], Ask(), 0.0)


def test_who_is_rejected_is_told_when_there_is_room() -> None:
    """Where service times are constant, the prediction is exact."""
    router = SpilloverRouter(
        RouterConfig.sovereign(slots={"home": 2}, max_queue_depth=10, service_time=3.0)
    )
    arrivals = [Arrival(0.0, 3.0) for _ in range(11)]
    *_, last = simulate(router, [HOME], arrivals, {"home": 2})
    assert last.retry_after == pytest.approx((8 + 1) * 3.0 / 2)
    assert last.backend == ""


def test_a_rejection_names_the_earliest_of_all() -> None:
    values: dict[str, Any] = {"slots": {"home": 1, "lan": 2}, "max_queue_depth": 4}
    router = SpilloverRouter(RouterConfig(**values))
    for _ in range(8):
        router.admit([HOME, one("lan")], Ask(), 0.0)
    with pytest.raises(Rejected) as raised:
        router.admit([HOME, one("lan")], Ask(), 0.0)
    assert raised.value.retry_after == pytest.approx((2 + 1) * 1.0 / 2)


# -- On its own ----------------------------------------------------------------------------------


def test_the_plain_rule() -> None:
    router = SpilloverRouter(
        RouterConfig(
            spillover_threshold=10,
            max_queue_depth=50,
            local_backend="realizar",
            spillover_backends=["groq"],
        ),
        clock=lambda: 0.0,
    )
    decisions = [router.route() for _ in range(11)]
    assert decisions == [Local("realizar")] * 10 + [Spillover("groq")]
    match decisions[0]:
        case Local(backend):
            assert backend == "realizar"
        case _:
            pytest.fail("not local")
    for decision in decisions:
        assert not isinstance(decision, Reject)
        router.finish(decision)
        router.finish(decision)
    assert router.load("realizar").in_flight == router.load("groq").in_flight == 0
    assert router.route() == Local("realizar")


def test_what_others_chose_is_counted_too() -> None:
    now = [0.0]
    router = SpilloverRouter(
        RouterConfig(local_backend="ollama", spillover_backends=["openai"]), clock=lambda: now[0]
    )
    for _ in range(60):
        router.start("ollama")
    assert router.load("ollama").in_flight == 60
    assert router.route() == Spillover("openai")
    now[0] = 3.0
    for _ in range(70):
        router.finish("ollama")
    assert router.load("ollama").in_flight == 0
    assert router.route() == Local("ollama")


def test_a_sovereign_router_never_spills_over() -> None:
    router = SpilloverRouter(RouterConfig.sovereign(local_backend="llama-cpp"))
    decisions = [router.route() for _ in range(60)]
    assert decisions == [Local("llama-cpp")] * 50 + [Reject("queue_full")] * 10
    assert SpilloverRouter(RouterConfig.sovereign()).route() == Local("realizar")
    kept = RouterConfig.sovereign(spillover_backends=["groq"])
    assert kept.spillover_backends == ()
    candidates = [HOME, CLOUD, one("lan")]
    order = SpilloverRouter(kept).admit(candidates, Ask(), 0.0).order
    assert [candidate.spec.name for candidate in order] == ["home", "lan"]
