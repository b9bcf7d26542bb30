from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from andon.backends.relay import Relay


async def read_all(relay: Relay[int]) -> list[int]:
    items = []
    while batch := await relay.take():
        items += batch
    return items


def test_items_arrive_in_order_and_the_end_is_told_again():
    async def main() -> None:
        relay: Relay[int] = Relay(asyncio.get_running_loop())
        job = asyncio.to_thread(relay.run, iter(range(10_000)))
        task = asyncio.create_task(job)
        assert await read_all(relay) == list(range(10_000))
        assert await relay.take() == []
        await task

    asyncio.run(main())


def test_an_error_comes_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    async def main() -> None:
        relay: Relay[int] = Relay(asyncio.get_running_loop())
        await asyncio.to_thread(relay.run, items())
        assert await relay.take() == [1]
        with pytest.raises(ValueError, match="broken"):
            await relay.take()

    asyncio.run(main())


def test_the_worker_pauses_when_nobody_reads():
    given = 0
    paused = threading.Event()

    def items() -> Iterator[int]:
        nonlocal given
        for number in range(50):
            given = number + 1
            if given == 10:
                paused.set()
            yield number

    async def main() -> None:
        relay: Relay[int] = Relay(asyncio.get_running_loop(), limit=10)
        task = asyncio.create_task(asyncio.to_thread(relay.run, items()))
        await asyncio.to_thread(paused.wait)
        assert given == 10
        assert await read_all(relay) == list(range(50))
        await task

    asyncio.run(main())


def test_cancelling_stops_a_paused_worker_and_closes_its_items():
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def main() -> None:
        relay: Relay[int] = Relay(asyncio.get_running_loop(), limit=3)
        task = asyncio.create_task(asyncio.to_thread(relay.run, items()))
        assert await relay.take()
        relay.cancel()
        await task
        assert closed.is_set()

    asyncio.run(main())


def test_a_closed_loop_stops_the_worker():
    loop = asyncio.new_event_loop()
    relay: Relay[int] = Relay(loop)
    loop.close()
    relay.run(iter(range(5)))
    assert isinstance(relay._error, RuntimeError)
