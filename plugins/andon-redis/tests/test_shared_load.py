"""Counts and queues that many processes share, at a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

import andon_redis
from andon import AsyncClient, Client, Locality, Rejected, SettingsError
from andon.backends import Backend
from andon.errors import PluginWarning
from andon.routing import Admission, Ask, Candidate, RouterConfig, SpilloverRouter
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec
from andon.testing import ScriptedBackend, plugin_with
from andon_redis.load import RedisLoad


def _nothing(context: BackendContext) -> Backend:
    raise NotImplementedError


def one(name: str, locality: Locality = Locality.LOCAL, cost: int = 0) -> Candidate:
    spec = BackendSpec(name=name, create=_nothing, locality=locality)
    return Candidate(ModelRef(name, "m"), spec, cost)


HOME = one("home")
CLOUD = one("cloud", Locality.PUBLIC, 100)


Share = Callable[..., SpilloverRouter]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def share(url: str) -> Iterator[Share]:
    """Make routers that stand for processes: they share nothing but the server."""
    stores = []

    def make(lease: float = 15.0, **values: Any) -> SpilloverRouter:
        store = RedisLoad(url, lease=lease, aging=values.get("aging", 10.0))
        stores.append(store)
        config = RouterConfig(**{"slots": {"home": 1}, "max_queue_depth": 3, **values})
        return SpilloverRouter(config, store)

    yield make
    for store in stores:
        store.close()


def test_two_processes_count_together(share: Share, until: Until) -> None:
    one_process, other = share(), share()
    assert one_process.waits
    first = one_process.admit([HOME], Ask(), 0.0)
    second = other.admit([HOME], Ask(), 0.0)
    third = one_process.admit([HOME], Ask(), 0.0)
    assert first.turn is None and second.turn is not None and third.turn is not None
    with pytest.raises(Rejected, match="home: no room") as raised:
        other.admit([HOME], Ask(), 0.0)
    assert raised.value.retry_after == pytest.approx(3.0)
    assert (other.load("home").in_flight, other.load("home").waiting) == (3, 2)
    # A place that is free in one process is taken in the other.
    first.leave(1.0)
    assert second.turn.wait(20)
    assert not third.turn.come
    second.leave(2.0)
    second.leave(2.0)
    assert third.turn.wait(20)
    third.leave(3.0)
    until(lambda: other.load("home").in_flight == 0)


def test_a_turn_comes_to_a_task(share: Share) -> None:
    one_process, other = share(), share()
    first = one_process.admit([HOME], Ask(), 0.0)

    async def ask() -> bool:
        admission = await asyncio.to_thread(other.admit, [HOME], Ask(), 0.0)
        assert admission.turn is not None
        assert not await admission.turn.await_(0.01)
        first.leave(1.0)
        came = await admission.turn.await_(20)
        admission.leave(2.0)
        return came

    assert asyncio.run(ask())


def test_who_gives_up_leaves_the_queue(share: Share) -> None:
    router = share()
    first, second, third = (router.admit([HOME], Ask(), 0.0) for _ in range(3))
    second.leave(1.0)
    first.leave(1.0)
    assert third.turn is not None and third.turn.wait(20)


def test_the_rules_are_those_of_one_process(share: Share, until: Until) -> None:
    router = share(spillover_threshold=10, max_queue_depth=50, slots={"home": 4})
    admissions = [router.admit([HOME, CLOUD], Ask(), 0.0) for _ in range(100)]
    places = [admission.order[0] for admission in admissions]
    assert places == [HOME] * 10 + [CLOUD] * 50 + [HOME] * 40
    assert router.load("home").overloaded
    assert router.load("home").flips == 1
    with pytest.raises(Rejected):
        router.admit([HOME, CLOUD], Ask(), 0.0)
    for admission in admissions:
        admission.leave(1.0, answered=False)
    until(lambda: router.load("home").in_flight + router.load("cloud").in_flight == 0)
    assert router.admit([HOME, CLOUD], Ask(), 2.0).order[0] == HOME
    assert not router.load("home").overloaded


@pytest.mark.parametrize("seed", range(6))
def test_the_same_requests_fare_the_same(share: Share, seed: int, until: Until) -> None:
    """One process's own books, and the server's: move by move the same."""
    random = Random(seed)
    values: dict[str, Any] = {
        "slots": {"home": random.randint(1, 3), "lan": random.randint(1, 2)},
        "max_queue_depth": random.randint(2, 8),
        "spillover_threshold": random.randint(2, 6),
        "latency_objective": random.choice([None, 0.5, 2.0]),
        "calm": random.choice([0.5, 1.0]),
    }
    alone, shared = SpilloverRouter(RouterConfig(**values)), share(**values)
    candidates = [HOME, one("lan"), CLOUD][: random.randint(1, 3)]
    inside: list[tuple[Admission, Admission]] = []

    def admit(router: SpilloverRouter, ask: Ask) -> Admission | str:
        try:
            return router.admit(candidates, ask, 0.0)
        except Rejected as error:
            return f"{error.reason} {error.retry_after}"

    def agree() -> bool:
        return all(
            (mine.turn is None or mine.turn.come) == (its.turn is None or its.turn.come)
            for mine, its in inside
        ) and all(
            replace(alone.load(one.spec.name), waited=0.0) == shared.load(one.spec.name)
            for one in candidates
        )

    for _ in range(60):
        if inside and random.random() < 0.4:
            mine, its = inside.pop(random.randrange(len(inside)))
            if random.random() < 0.3:
                target = random.choice(candidates)
                mine.move(target, 0.0)
                its.move(target, 0.0)
                inside.append((mine, its))
            else:
                mine.leave(0.0, answered=False)
                its.leave(0.0, answered=False)
        else:
            ask = Ask(priority=random.randint(0, 2), key=random.choice(["", "a", "b"]))
            mine_or_not, its_or_not = admit(alone, ask), admit(shared, ask)
            if isinstance(mine_or_not, str) or isinstance(its_or_not, str):
                assert mine_or_not == its_or_not
            else:
                assert mine_or_not.order == its_or_not.order
                inside.append((mine_or_not, its_or_not))
        until(agree)


def test_going_on_elsewhere(share: Share, until: Until) -> None:
    router = share()
    first, second = (router.admit([HOME, CLOUD], Ask(), 0.0) for _ in range(2))
    first.move(CLOUD, 1.0)
    assert second.turn is not None and second.turn.wait(20)
    until(lambda: router.load("cloud").in_flight == 1)
    first.leave(2.0)
    second.leave(2.0)
    until(lambda: router.load("cloud").in_flight + router.load("home").in_flight == 0)


def test_priorities_and_fair_shares_hold_between_processes(share: Share, until: Until) -> None:
    routers = [share(max_queue_depth=20) for _ in range(2)]
    first = routers[0].admit([HOME], Ask(), 0.0)
    asks = [
        *(Ask(key="greedy") for _ in range(4)),
        Ask(key="modest"),
        Ask(key="urgent", priority=1),
    ]
    waiting = {
        f"{ask.key}-{number}": routers[number % 2].admit([HOME], ask, 0.0)
        for number, ask in enumerate(asks)
    }
    order = []
    first.leave(1.0)
    while waiting:

        def came() -> list[str]:
            return [name for name, one in waiting.items() if one.turn is not None and one.turn.come]

        until(lambda: bool(came()))
        (name,) = came()
        order.append(name)
        waiting.pop(name).leave(2.0)
    assert order[0] == "urgent-5"
    assert order.index("modest-4") <= 2
    assert [name for name in order if name.startswith("greedy")] == [
        f"greedy-{n}" for n in range(4)
    ]


def test_one_key_does_not_fill_the_queue(share: Share) -> None:
    router = share(max_queue_depth=10)
    with pytest.raises(Rejected, match="kept for others"):  # noqa: PT012
        for _ in range(10):
            router.admit([HOME], Ask(key="flood"), 0.0)
    router.admit([HOME], Ask(key="other"), 0.0)


def test_more_slots_let_more_in(share: Share) -> None:
    router, other = share(), share()
    other.admit([HOME], Ask(), 0.0)
    waiting = router.admit([HOME], Ask(), 0.0)
    other.set_slots("home", 2)
    assert waiting.turn is not None and waiting.turn.wait(20)


#: Asks as often as it can; prints how many were inside at most, as the server counted them.
WORKER = """
import sys
import redis
from andon.routing import Ask, RouterConfig, SpilloverRouter
from andon.routing.spillover import place_of
from andon.specs import Locality
from andon_redis.load import RedisLoad

store = RedisLoad(sys.argv[1])
router = SpilloverRouter(RouterConfig(slots={"home": 2}), store)
home = place_of("home", Locality.LOCAL)
counter = redis.Redis.from_url(sys.argv[2])
most = 0
for number in range(100):
    admission = router.admit([home], Ask(), 0.0)
    assert admission.turn is None or admission.turn.wait(30)
    most = max(most, counter.incr("inside"))
    counter.decr("inside")
    admission.leave(0.0)
store.close()
print(most)
"""


def test_no_two_processes_take_the_same_place(url: str, server: str, share: Share) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, server], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    most = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert max(most) <= 2
    load = share().load("home")
    assert (load.in_flight, load.admitted) == (0, 400)


#: Takes the only slot and a place in the queue, says so, and waits to be killed.
VICTIM = """
import sys
from andon.routing import Ask, RouterConfig, SpilloverRouter
from andon.routing.spillover import place_of
from andon.specs import Locality
from andon_redis.load import RedisLoad

store = RedisLoad(sys.argv[1], lease=float(sys.argv[2]))
router = SpilloverRouter(RouterConfig(slots={"home": 1}, max_queue_depth=3), store)
home = place_of("home", Locality.LOCAL)
held = [router.admit([home], Ask(), 0.0) for _ in range(2)]
print("held", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_held_goes_to_the_next(url: str, share: Share, until: Until) -> None:
    router = share(lease=0.6)
    command = [sys.executable, "-c", VICTIM, url, "0.6"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "held\n"
        admission = router.admit([HOME], Ask(), 0.0)
        assert admission.turn is not None
        # As long as it lives it keeps what it has, lease after lease.
        assert not admission.turn.wait(1.5)
        victim.kill()
    assert admission.turn.wait(20)
    admission.leave(1.0)
    until(lambda: router.load("home").in_flight == 0)


def test_without_the_server_each_process_stands_alone() -> None:
    store = RedisLoad("redis://:a-password@127.0.0.1:1/0")
    router = SpilloverRouter(RouterConfig(slots={"home": 1}, max_queue_depth=2), store)
    with pytest.warns(PluginWarning, match=r"redis://127\.0\.0\.1:1/0.*counts for itself") as told:
        first = router.admit([HOME], Ask(), 0.0)
    assert "a-password" not in str(told[0].message) + repr(store)
    second = router.admit([HOME], Ask(), 0.0)
    with pytest.raises(Rejected):
        router.admit([HOME], Ask(), 0.0)
    assert router.load("home").in_flight == 2
    first.move(CLOUD, 1.0)
    assert second.turn is not None and second.turn.come
    router.set_slots("home", 3)
    for admission in (first, second):
        admission.leave(2.0)
    assert router.load("home").in_flight == 0
    router.close()


def test_books_that_are_forgotten_end_their_threads(url: str, until: Until) -> None:
    before = set(threading.enumerate())
    router = SpilloverRouter(RouterConfig(), RedisLoad(url))
    router.admit([HOME], Ask(), 0.0).leave(0.0)
    assert len(set(threading.enumerate()) - before) == 2
    router.close()
    until(lambda: not set(threading.enumerate()) - before)


def test_settings_name_the_strategy_and_the_server(url: str) -> None:
    plugins = [andon_redis, plugin_with(one=ScriptedBackend(["hello"]))]
    routing = {"strategy": "redis", "url": url, "by": "least_busy", "lease": 5.0}
    with Client(discover=False, plugins=plugins, routing=routing) as client:
        assert client.chat("one:m", "hi").text == "hello"


def test_tasks_of_two_clients_share_a_queue(url: str) -> None:
    backend = ScriptedBackend(["hello"])
    routing = {"strategy": "redis", "url": url, "slots": {"one": 1}}

    async def ask() -> None:
        plugins = [andon_redis, plugin_with(one=backend)]
        async with (
            AsyncClient(discover=False, plugins=plugins, routing=routing) as here,
            AsyncClient(discover=False, plugins=plugins, routing=routing) as there,
        ):
            clients = [here, there] * 10
            answers = await asyncio.gather(*(one.chat("one:m", "hi") for one in clients))
            assert [answer.text for answer in answers] == ["hello"] * 20
            gone = asyncio.create_task(here.chat("one:m", "hi"))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            assert (await there.chat("one:m", "hi", timeout=20)).text == "hello"

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "routing.url"),
        ({"url": "redis://host:6379/zero?db=x"}, "redis://host:6379/0"),
        ({"url": "redis://host", "by": "chance"}, "in_order, spillover"),
        ({"url": "redis://host", "lease": 0}, "routing.lease"),
        ({"url": "redis://host", "depth": 3}, "no such option"),
    ],
)
def test_settings_that_are_wrong(options: dict[str, Any], words: str) -> None:
    (spec,) = andon_redis.andon_register_routers()
    with pytest.raises(SettingsError, match=words):
        spec.create(options)
