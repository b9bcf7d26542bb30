"""The contract between the corridor and routers: every request is counted, and counted off."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from andon import Locality, Rejected, RoutingError, SettingsError
from andon.backends import Backend
from andon.routing import (
    BUILTIN,
    Ask,
    Candidate,
    InOrder,
    Router,
    RouterConfig,
    SpilloverRouter,
    builtin_routers,
    create_router,
)
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec


def _nothing(context: BackendContext) -> Backend:
    raise NotImplementedError


def one(
    name: str, locality: Locality = Locality.LOCAL, cost: int = 0, healthy: bool = True
) -> Candidate:
    spec = BackendSpec(name=name, create=_nothing, locality=locality)
    return Candidate(ModelRef(name, "m"), spec, cost, healthy)


def names(order: Sequence[Candidate]) -> list[str]:
    return [candidate.spec.name for candidate in order]


HOME = one("home")
CLOUD = one("cloud", Locality.PUBLIC, 100)
LONELY = RouterConfig(slots={"home": 1}, max_queue_depth=3)


@pytest.mark.parametrize("name", BUILTIN)
def test_every_strategy_orders_all_candidates_and_puts_those_at_rest_last(name: str) -> None:
    router = builtin_routers()[name].create({})
    candidates = [one("ill", healthy=False), HOME, CLOUD, one("other", cost=5)]
    admission = router.admit(candidates, Ask(), 0.0)
    assert sorted(names(admission.order)) == ["cloud", "home", "ill", "other"]
    assert names(admission.order)[-1] == "ill"
    assert admission.turn is None
    admission.move(admission.order[1], 1.0)
    admission.leave(2.0, tokens=10)
    admission.leave(3.0)
    only_ill = router.admit(candidates[:1], Ask(), 3.0)
    assert names(only_ill.order) == ["ill"]


def test_in_order_keeps_the_callers_order() -> None:
    candidates = [CLOUD, HOME]
    assert InOrder().admit(candidates, Ask(), 0.0).order == candidates


@pytest.mark.parametrize("name", [name for name in BUILTIN if name != "in_order"])
def test_options_that_are_wrong_are_refused_and_explained(name: str) -> None:
    for options, words in (
        ({"depth": 3}, "no such option; it has .*max_queue_depth"),
        ({"max_queue_depth": 0}, "a whole number from 1 on"),
        ({"max_queue_depth": True}, "a whole number"),
        ({"half_life": "long"}, "routing.half_life: a number above 0"),
        ({"half_life": float("nan")}, "half_life"),
        ({"slots": {"home": 0}}, r"routing.slots.home"),
        ({"slots": 4}, "names of backends"),
    ):
        with pytest.raises(SettingsError, match=words):
            create_router(name, options)


def test_a_strategy_or_an_option_that_nobody_knows() -> None:
    with pytest.raises(SettingsError, match="in_order, spillover, least_busy"):
        create_router("random", {})
    with pytest.raises(SettingsError, match="it has none"):
        create_router("in_order", {"slots": {}})
    for options in (
        {"latency_objective": -1},
        {"calm": 1.5},
        {"spillover_threshold": 0},
        {"spillover_backends": "cloud"},
        {"spillover_backends": [1]},
        {"privacy": "secret"},
    ):
        with pytest.raises(SettingsError, match=next(iter(options))):
            create_router("spillover", options)
    for weights in ({"home": 0}, 3):
        with pytest.raises(SettingsError, match=r"routing\.weights"):
            create_router("weighted", {"weights": weights})
    with pytest.raises(SettingsError, match="choices"):
        create_router("least_busy", {"choices": -1})


def test_nobody_to_ask() -> None:
    with pytest.raises(Rejected, match="nobody") as raised:
        SpilloverRouter().admit([], Ask(), 0.0)
    assert raised.value.reason == "no_backend"


# -- Queues ---------------------------------------------------------------------------------------


def test_a_slot_that_is_free_again_goes_to_the_next_in_the_queue() -> None:
    router = SpilloverRouter(LONELY)
    first, second, third = (router.admit([HOME], Ask(), float(n)) for n in range(3))
    assert first.turn is None and second.turn is not None and third.turn is not None
    assert (router.load("home").in_flight, router.load("home").waiting) == (3, 2)
    with pytest.raises(Rejected, match="home: no room") as raised:
        router.admit([HOME], Ask(), 3.0)
    assert isinstance(raised.value, RoutingError)
    assert raised.value.reason == "queue_full"
    assert raised.value.retry_after == pytest.approx(3.0)  # two wait and one is under way, 1 s each
    first.leave(4.0)
    assert second.turn.come and not third.turn.come
    second.leave(5.0)
    third.leave(6.0)
    assert router.load("home").in_flight == 0
    assert router.load("home").waited == pytest.approx(3.0 + 3.0)


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    router = SpilloverRouter(LONELY)
    first, second, third = (router.admit([HOME], Ask(), 0.0) for _ in range(3))
    assert second.turn is not None and third.turn is not None
    assert not second.turn.wait(0)
    second.leave(1.0)
    first.leave(2.0)
    assert third.turn.wait(0)
    assert router.load("home").in_flight == 1


def test_a_turn_that_came_while_the_wait_ended_is_given_back() -> None:
    router = SpilloverRouter(LONELY)
    first, second, third = (router.admit([HOME], Ask(), 0.0) for _ in range(3))
    first.leave(1.0)
    second.leave(1.0)  # its turn had come, but nobody was there to see it
    assert third.turn is not None and third.turn.come
    third.leave(1.0)
    assert router.load("home").in_flight == 0


def test_going_on_elsewhere_frees_the_place_and_needs_no_turn() -> None:
    router = SpilloverRouter(LONELY)
    first, second = (router.admit([HOME, CLOUD], Ask(), 0.0) for _ in range(2))
    assert second.turn is not None
    first.move(CLOUD, 1.0)
    assert second.turn.come
    assert (router.load("home").in_flight, router.load("cloud").in_flight) == (1, 1)
    first.leave(2.0)
    first.move(HOME, 3.0)
    second.leave(2.0)
    assert (router.load("home").in_flight, router.load("cloud").in_flight) == (0, 0)


def test_more_slots_let_more_in() -> None:
    router = SpilloverRouter(LONELY)
    _, second, third = (router.admit([HOME], Ask(), 0.0) for _ in range(3))
    router.set_slots("home", 3)
    assert second.turn is not None and second.turn.come
    assert third.turn is not None and third.turn.come
    assert router.load("home").waiting == 0
    with pytest.raises(SettingsError):
        router.set_slots("home", 0)


class _Inside:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def work(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.now -= 1


def _ask_often(router: Router, inside: _Inside) -> None:
    for _ in range(100):
        admission = router.admit([HOME], Ask(), 0.0)
        try:
            if admission.turn is None or admission.turn.wait(30):
                inside.work()
        finally:
            admission.leave(0.0)


async def _ask_in_task(router: Router, inside: _Inside) -> None:
    admission = router.admit([HOME], Ask(), 0.0)
    try:
        if admission.turn is None or await admission.turn.await_(30):
            inside.work()
            await asyncio.sleep(0)
    finally:
        admission.leave(0.0)


def _ask_in_a_loop(router: Router, inside: _Inside) -> None:
    async def ask() -> None:
        for _ in range(20):
            await asyncio.gather(*(_ask_in_task(router, inside) for _ in range(5)))

    asyncio.run(ask())


def test_slots_that_a_backend_tells_go_behind_the_settings() -> None:
    router = SpilloverRouter(LONELY)
    router.note_slots("home", 8)
    router.note_slots("lan", 2)
    router.note_slots("lan", None)
    router.note_slots("lan", 0)
    admissions = [router.admit([one(name)], Ask(), 0.0) for name in ("home", "home", "lan", "lan")]
    assert [admission.turn is None for admission in admissions] == [True, False, True, True]
    assert router.admit([one("lan")], Ask(), 0.0).turn is not None


def test_turns_across_threads_and_tasks() -> None:
    router = SpilloverRouter(RouterConfig(slots={"home": 1}, latency_objective=None))
    inside = _Inside()
    threads = [
        threading.Thread(target=target, args=(router, inside))
        for target in (_ask_often, _ask_in_a_loop, _ask_often, _ask_in_a_loop)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    load = router.load("home")
    assert (load.in_flight, load.admitted, inside.most) == (0, 400, 1)


def test_a_cancelled_task_leaves_the_queue() -> None:
    router = SpilloverRouter(LONELY)
    first = router.admit([HOME], Ask(), 0.0)

    async def ask() -> None:
        admission = router.admit([HOME], Ask(), 0.0)
        assert admission.turn is not None
        try:
            await admission.turn.await_()
        finally:
            admission.leave(1.0)

    async def cancel() -> None:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        assert router.load("home").waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert router.load("home").in_flight == 1
    first.leave(2.0)
    assert router.load("home").in_flight == 0


def test_a_turn_for_a_loop_that_was_closed_goes_to_the_next() -> None:
    router = SpilloverRouter(LONELY)
    first = router.admit([HOME], Ask(), 0.0)
    second = router.admit([HOME], Ask(), 0.0)
    third = router.admit([HOME], Ask(), 0.0)
    loop = asyncio.new_event_loop()
    assert second.turn is not None and third.turn is not None
    waiting = loop.create_task(second.turn.await_())
    loop.run_until_complete(_pause())
    waiting.cancel()
    loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
    loop.close()
    first.leave(1.0)
    assert third.turn.come
    second.leave(2.0)
    assert router.load("home").in_flight == 1
    third.leave(3.0)
    assert router.load("home").in_flight == 0


async def _pause() -> None:
    await asyncio.sleep(0)


def test_a_stream_that_is_collected_while_the_lock_is_held_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Garbage is collected in the middle of anything: what leaves then must not wait for a lock."""
    router = SpilloverRouter(LONELY)
    abandoned = [router.admit([HOME], Ask(), 0.0)]
    store: Any = router._store
    choose: Callable[..., Any] = store._choose

    def collect_and_choose(*arguments: Any) -> Any:
        gc.collect()
        if abandoned:
            abandoned.pop().leave(0.5)
        return choose(*arguments)

    monkeypatch.setattr(store, "_choose", collect_and_choose)
    second = router.admit([HOME], Ask(), 1.0)
    assert router.load("home").in_flight == 1
    assert second.turn is not None and second.turn.come


def test_a_router_is_what_the_corridor_expects() -> None:
    router: Router = SpilloverRouter()
    assert not router.waits
    router = InOrder()
    assert not router.waits
