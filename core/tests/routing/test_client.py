"""Spillover through a client: in threads, and in asyncio."""

from __future__ import annotations

import asyncio
import threading
import types
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import andon
from andon import AsyncClient, ChatDelta, ChatRequest, Client, Locality, Price, RequestTimeout
from andon.routing import SpilloverRouter
from andon.specs import BackendSpec
from andon.testing import ScriptedBackend

MODELS = ["home:m", "cloud:m"]


async def aeventually(true: Callable[[], bool]) -> None:
    """Let other tasks work until something holds."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(0.001)


class Busy(ScriptedBackend):
    """Answers no sooner than it is told to, and knows how many it answers at once."""

    def __init__(self) -> None:
        super().__init__(["home"])
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)
        self.now = self.most = 0

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        self._enter()
        try:
            assert self.open.wait(30)
            yield from super().stream(request, timeout)
        finally:
            self.now -= 1

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        self._enter()
        try:
            await aeventually(self.open.is_set)
            for delta in ScriptedBackend.stream(self, request, timeout):
                yield delta
        finally:
            self.now -= 1

    def _enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.release()


class Places:
    """Offers the two backends."""

    def __init__(self) -> None:
        self.home = Busy()
        self.cloud = ScriptedBackend(["cloud"])

    @andon.hookimpl
    def andon_register_backends(self) -> list[BackendSpec]:
        return [
            BackendSpec(name="home", create=lambda context: self.home, locality=Locality.LOCAL),
            BackendSpec(name="cloud", create=lambda context: self.cloud, locality=Locality.PUBLIC),
        ]


@pytest.fixture
def places() -> Places:
    return Places()


def arguments(places: Places, **routing: Any) -> dict[str, Any]:
    one = Decimal(1)
    return {
        "discover": False,
        "plugins": [places],
        "prices": {"cloud:m": Price(input=one, output=one)},
        "routing": {"strategy": "spillover", "slots": {"home": 2}, **routing},
    }


def router_of(client: Client | AsyncClient) -> SpilloverRouter:
    router = client._place.house.router
    assert isinstance(router, SpilloverRouter)
    return router


def test_what_a_full_backend_cannot_take_goes_to_the_next_model(places: Places) -> None:
    with Client(**arguments(places, spillover_threshold=3)) as client:
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.chat(MODELS, "hi").backend))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert places.home.begun.acquire(timeout=30)
        while router_of(client).load("home").in_flight < 3:
            threading.Event().wait(0.001)
        assert [client.chat(MODELS, "hi").backend for _ in range(4)] == ["cloud"] * 4
        places.home.open.set()
        for thread in threads:
            thread.join(30)
        assert answers == ["home"] * 3
        assert places.home.most == 2
        assert router_of(client).load("home").in_flight == 0
        assert client.chat(MODELS, "hi").backend == "home"


def test_tasks_take_turns_and_cancelled_ones_leave_nothing_behind(places: Places) -> None:
    async def ask() -> Counter[str]:
        async with AsyncClient(**arguments(places, spillover_threshold=6)) as client:
            router = router_of(client)
            tasks = [asyncio.create_task(client.chat(MODELS, "hi")) for _ in range(20)]
            await aeventually(
                lambda: router.load("home").in_flight == 6 and router.load("cloud").admitted == 14
            )
            waiting = asyncio.create_task(client.chat("home:m", "hi"))
            await aeventually(lambda: router.load("home").in_flight == 7)
            waiting.cancel()
            assert isinstance(
                (await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError
            )
            assert router.load("home").in_flight == 6
            places.home.open.set()
            answers = await asyncio.gather(*tasks)
            assert router.load("home").in_flight == router.load("cloud").in_flight == 0
            return Counter(answer.backend for answer in answers)

    assert asyncio.run(ask()) == {"home": 6, "cloud": 14}
    assert places.home.most == 2


def test_a_turn_that_does_not_come_in_time(places: Places) -> None:
    with Client(**arguments(places, slots={"home": 1})) as client:
        held = threading.Thread(target=lambda: client.chat("home:m", "hi"))
        held.start()
        assert places.home.begun.acquire(timeout=30)
        with pytest.raises(RequestTimeout):
            client.chat("home:m", "hi", timeout=0.05)
        assert router_of(client).load("home").in_flight == 1
        places.home.open.set()
        held.join(30)
        assert router_of(client).load("home").in_flight == 0


class Telling(ScriptedBackend):
    """Says how many requests it serves at a time."""

    def learn_slots(self) -> int:
        return 3

    async def alearn_slots(self) -> int:
        return 3


def offers(locality: Locality) -> Any:
    spec = BackendSpec(name="home", create=lambda context: Telling(["x"]), locality=locality)
    module = types.ModuleType("telling")
    vars(module)["andon_register_backends"] = andon.hookimpl(lambda: [spec])
    return module


def test_slots_are_learned_when_a_server_is_asked_and_from_an_engine_at_once() -> None:
    routing = {"strategy": "spillover"}
    server, engine = offers(Locality.LOCAL), offers(Locality.IN_PROCESS)
    with Client(discover=False, plugins=[server], routing=routing) as client:
        assert client.learn_slots("home") == 3
        assert router_of(client)._slots == {"home": 3}
    with Client(discover=False, plugins=[engine], routing=routing) as client:
        client.chat("home:m", "hi")
        assert router_of(client)._slots == {"home": 3}
    with Client(discover=False, plugins=[server]) as client:
        assert client.learn_slots("home") == 3

    async def learn() -> int | None:
        async with AsyncClient(
            discover=False, plugins=[server], routing={**routing, "slots": {"home": 7}}
        ) as client:
            slots = await client.learn_slots("home")
            assert router_of(client)._slots == {"home": 7}
            return slots

    assert asyncio.run(learn()) == 3


def test_a_stream_that_is_left_frees_its_place(places: Places) -> None:
    places.home.open.set()
    with Client(**arguments(places, slots={"home": 1})) as client:
        with client.stream("home:m", "hi") as stream:
            next(iter(stream))
            assert router_of(client).load("home").in_flight == 1
        assert router_of(client).load("home").in_flight == 0
