"""A second candidate is asked beside a slow first one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from andon import (
    AnsweredElsewhere,
    AsyncClient,
    ChatDelta,
    ChatRequest,
    Client,
    FailoverPolicy,
    Locality,
    MemoryLedger,
    Price,
    ServerError,
    StreamInterrupted,
)
from andon.testing.scripted import ScriptedBackend, plugin_with

SOON = 0.01


@dataclass(slots=True)
class Slow(ScriptedBackend):
    """Says nothing before somebody lets it."""

    gate: threading.Event = field(default_factory=threading.Event)
    agate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    def stream(
        self, request: ChatRequest, timeout: float | None
    ) -> Generator[ChatDelta, None, None]:
        assert self.gate.wait(30)
        yield from ScriptedBackend.stream(self, request, timeout)

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        self.begun.set()
        try:
            await self.agate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        async for delta in ScriptedBackend.astream(self, request, timeout):
            yield delta


def client(**backends: ScriptedBackend) -> Client:
    return Client(discover=False, plugins=[plugin_with(**backends)])


def text_of(stream: Any) -> str:
    return "".join(delta.text for delta in stream)


def test_the_second_answers_where_the_first_is_slow() -> None:
    slow = Slow(["slow"])
    with client(slow=slow, quick=ScriptedBackend(["quick", " one"])) as both:
        stream = both.stream(["slow:m", "quick:m"], "hi", hedge_after=SOON)
        assert text_of(stream) == "quick one"
        slow.gate.set()
    assert stream.response.backend == "quick"
    lost, won = stream.response.attempts
    assert (lost.backend, type(lost.error)) == ("slow", AnsweredElsewhere)
    assert (won.backend, won.error) == ("quick", None)


def test_the_slow_one_is_cancelled() -> None:
    slow = Slow(["slow"])

    async def ask() -> None:
        plugin = plugin_with(slow=slow, quick=ScriptedBackend(["quick"]))
        async with AsyncClient(discover=False, plugins=[plugin]) as both:
            response = await both.chat(["slow:m", "quick:m"], "hi", hedge_after=SOON)
            assert response.text == "quick"
            assert slow.cancelled

    asyncio.run(ask())


def test_nobody_else_is_asked_where_the_first_is_quick() -> None:
    other = ScriptedBackend(["other"])
    with client(quick=ScriptedBackend(["quick"]), other=other) as both:
        assert both.chat(["quick:m", "other:m"], "hi", hedge_after=30).text == "quick"
    assert other.requests == []


def test_a_failing_second_leaves_the_first_alone() -> None:
    slow = Slow(["slow"])
    down = ScriptedBackend([ServerError("down", status=500)])

    class Opens(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            slow.gate.set()
            yield from down.stream(request, timeout)

    with client(slow=slow, down=Opens()) as both:
        response = both.chat(["slow:m", "down:m"], "hi", hedge_after=SOON)
    assert response.text == "slow"
    assert [attempt.backend for attempt in response.attempts] == ["down", "slow"]


def test_a_first_that_fails_late_leaves_the_second_alone() -> None:
    begun, failed = threading.Event(), threading.Event()

    class Fails(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            assert begun.wait(30)
            failed.set()
            raise ServerError("down", status=500)
            yield

    class Waits(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            begun.set()
            assert failed.wait(30)
            yield from ScriptedBackend.stream(self, request, timeout)

    with client(fails=Fails(), waits=Waits(["quick"])) as both:
        response = both.chat(["fails:m", "waits:m"], "hi", hedge_after=SOON)
    assert response.text == "quick"


def test_a_race_whose_winner_breaks_goes_on_elsewhere() -> None:
    slow = Slow(["one two three"], continues=True)
    breaks = ScriptedBackend(["one ", "two ", ServerError("cut")], continues=True)
    third = ScriptedBackend(["one ", "two ", "three"], continues=True)
    with client(slow=slow, breaks=breaks, third=third) as all_three:
        stream = all_three.stream(["slow:m", "breaks:m", "third:m"], "hi", hedge_after=SOON)
        assert text_of(stream) == "one two three"
        slow.gate.set()
    assert stream.response.backend == "third"


def test_giving_up_stops_both() -> None:
    one, two = Slow(["one"]), Slow(["two"])

    async def ask() -> None:
        plugin = plugin_with(one=one, two=two)
        async with AsyncClient(discover=False, plugins=[plugin]) as both:
            task = asyncio.create_task(both.chat(["one:m", "two:m"], "hi", hedge_after=0.001))
            await asyncio.gather(one.begun.wait(), two.begun.wait())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert one.cancelled
        assert two.cancelled

    asyncio.run(ask())


def test_both_are_priced_in() -> None:
    slow = Slow(["slow"], measured=False)
    prices = {
        name: Price(input=Decimal(1000), output=Decimal(1000)) for name in ("slow:m", "quick:m")
    }
    plugin = plugin_with(
        locality=Locality.PUBLIC, slow=slow, quick=ScriptedBackend(["quick"], measured=False)
    )
    with Client(discover=False, plugins=[plugin], prices=prices) as both:
        response = both.chat(["slow:m", "quick:m"], "hi", hedge_after=SOON)
        lost, won = response.attempts
        assert lost.cost_usd > 0
        assert lost.usage.estimated
        assert response.cost_usd == lost.cost_usd + won.cost_usd
        assert both.spent_today_usd == response.cost_usd
        slow.gate.set()


def test_where_both_fail_the_answer_fails() -> None:
    down = ScriptedBackend([ServerError("down", status=500)])
    with (
        client(one=down, two=ScriptedBackend(["half", ServerError("cut")])) as both,
        pytest.raises(StreamInterrupted),
    ):
        list(both.stream(["one:m", "two:m"], "hi", hedge_after=30, failover="stop"))


def test_two_are_not_asked_where_one_request_is_all() -> None:
    slow, other = Slow(["slow"]), ScriptedBackend(["other"])
    slow.gate.set()
    policy = FailoverPolicy(max_attempts=1, hedge_after=SOON)
    plugin = plugin_with(slow=slow, other=other)
    with Client(discover=False, plugins=[plugin], failover=policy) as both:
        assert both.chat(["slow:m", "other:m"], "hi").text == "slow"
    assert other.requests == []


class SlowLedger(MemoryLedger):
    """Takes its time over the first settlement."""

    waits = True

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = threading.Event(), threading.Event()

    def settle(self, hold_id: str, amount: int) -> None:
        self.asked.set()
        assert self.answers.wait(30)
        super().settle(hold_id, amount)


def test_the_winner_is_settled_too_where_the_caller_leaves_while_the_loser_is() -> None:
    slow, quick, ledger = Slow(["slow"]), ScriptedBackend(["quick"]), SlowLedger()
    price = Price(input=Decimal(1), output=Decimal(1))

    async def ask() -> None:
        plugin = plugin_with(locality=Locality.PUBLIC, slow=slow, quick=quick)
        prices = {"slow:m": price, "quick:m": price}
        async with AsyncClient(
            discover=False, plugins=[plugin], prices=prices, ledger=ledger
        ) as both:
            asking = asyncio.create_task(both.chat(["slow:m", "quick:m"], "hi", hedge_after=SOON))
            assert await asyncio.to_thread(ledger.asked.wait, 30)
            asking.cancel()
            ledger.answers.set()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(ask())
    assert [row.held for row in ledger.spending("all", "", 0.0)] == [0, 0]
    assert quick.closed_streams == 1
