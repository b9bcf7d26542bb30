"""The health of endpoints that many processes share, at a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import andon_redis
from andon import AsyncClient, Client
from andon.errors import ServerError
from andon.health import HealthConfig, HealthState
from andon.testing import ScriptedBackend, plugin_with
from andon_redis.health import RedisHealth

DOWN = ServerError("down", status=503)
#: Rests are so long that no test outlasts one by chance, or so short that none is waited for.
LONG, SHORT = HealthConfig(rest=60.0, longest_rest=600.0), HealthConfig(rest=0.02)

Until = Callable[[Callable[[], bool]], None]
Join = Callable[..., RedisHealth]


class Clock:
    """Times that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def join(url: str, until: Until) -> Iterator[Join]:
    """Make boards that stand for processes: they share nothing but the server."""
    boards = []

    def make(config: HealthConfig = LONG, *, at: str = url, **values: Any) -> RedisHealth:
        board = RedisHealth(at, config=config, **values)
        boards.append(board)
        board.state("a", board._clock())
        until(lambda: board._clerk is not None and not board._joining.locked())
        return board

    yield make
    for board in boards:
        board.close()


def fail(board: RedisHealth, times: int = 3) -> None:
    for _ in range(times):
        board.failed("a", board._clock(), DOWN)


def state(board: RedisHealth) -> HealthState:
    return board.state("a", board._clock())


def test_who_rests_for_one_rests_for_all(join: Join, until: Until) -> None:
    one, other = join(), join()
    fail(one)
    until(lambda: state(other) is HealthState.OPEN)
    assert not other.admit("a", other._clock())
    assert 50 < other.resting(other._clock())["a"] <= 60
    # One that comes later learns it at once.
    third = join()
    until(lambda: state(third) is HealthState.OPEN)


def test_failures_of_all_count_together(join: Join, until: Until) -> None:
    boards = [join() for _ in range(3)]
    for board in boards[:2]:
        fail(board, times=1)
    until(lambda: "a" in boards[2]._breakers and boards[2]._breakers["a"].bad > 1.5)
    fail(boards[2], times=1)
    for board in boards:
        until(lambda board=board: state(board) is HealthState.OPEN)


def test_answers_elsewhere_speak_for_it(join: Join, until: Until) -> None:
    one, other = join(), join()
    fail(one, times=1)
    until(lambda: "a" in other._breakers)
    for _ in range(50):
        other.succeeded("a", other._clock())
    until(lambda: one._breakers["a"].good > 30)
    # Many failures, and yet few among the outcomes of all.
    fail(one, times=5)
    assert state(one) is HealthState.CLOSED


def test_who_hears_again_counts_nothing_twice(join: Join, until: Until) -> None:
    one, other = join(), join()
    fail(one, times=2)
    until(lambda: "a" in other._breakers and other._breakers["a"].bad > 1.5)
    for board in (one, other):
        board.join_again()
    fail(one, times=1)
    until(lambda: state(other) is HealthState.OPEN)
    assert other._breakers["a"].bad < 3.5


def test_what_was_found_out_before_joining_is_told(url: str, join: Join, until: Until) -> None:
    early = RedisHealth(url, config=LONG)
    for _ in range(3):
        early.failed("a", early._clock(), DOWN)
    other = join()
    state(early)
    until(lambda: state(other) is HealthState.OPEN)
    early.close()


def test_one_probe_at_a_time_over_all(join: Join, until: Until) -> None:
    boards = [join(SHORT) for _ in range(4)]
    fail(boards[0])
    for board in boards:
        until(lambda board=board: state(board) is HealthState.HALF_OPEN)
    askers = [object() for _ in boards]
    asked = zip(boards, askers, strict=True)
    admitted = [board.admit("a", board._clock(), asker) for board, asker in asked]
    assert admitted == [True, False, False, False]
    # Told nothing, another one may.
    boards[0].released("a", askers[0])
    until(lambda: boards[1].admit("a", boards[1]._clock(), askers[1]))
    assert not boards[0].admit("a", boards[0]._clock(), askers[0])
    # It is well again, for all.
    boards[1].succeeded("a", boards[1]._clock(), None, askers[1])
    for board in boards:
        until(lambda board=board: state(board) is HealthState.CLOSED)


def test_a_probe_that_fails_makes_the_rest_longer_for_all(join: Join, until: Until) -> None:
    clocks = [Clock(), Clock()]
    one, other = (join(LONG, clock=clock) for clock in clocks)
    fail(one)
    until(lambda: state(other) is HealthState.OPEN)
    # The server's clock goes by itself, so this is the first process to believe that it is over.
    clocks[0].now = clocks[1].now = 61.0
    asker = object()
    assert not other.admit("a", 61.0, asker), "the server knows better"
    assert other.rest_left("a", 61.0) > 50


def test_a_probe_whose_process_is_killed(url: str, join: Join, until: Until) -> None:
    board = join(SHORT, lease=0.3)
    fail(board)
    code = f"""
import sys, time
from andon.health import HealthConfig
from andon_redis.health import RedisHealth
board = RedisHealth({url!r}, config=HealthConfig(rest=0.02), lease=0.3)
while not board.resting(time.monotonic()) or board._clerk is None:
    board.state("a", time.monotonic())
while not board._probes:
    board.admit("a", time.monotonic())
print("probes", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "probes\n"
        # It keeps its lease as long as it lives, longer than that lasts.
        pause = threading.Event()
        assert not any(board.admit("a", board._clock()) or pause.wait(0.05) for _ in range(20))
        process.kill()
        until(lambda: board.admit("a", board._clock()))


def test_without_the_server_each_sees_to_itself(
    own_server: Any, join: Join, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("clerk", "health"):
        monkeypatch.setattr(f"andon_redis.{module}.REST", 0.05)
    one, other = (join(SHORT, at=own_server.url) for _ in range(2))
    own_server.stop()
    fail(one)
    until(lambda: state(one) is HealthState.HALF_OPEN)
    assert one.admit("a", one._clock())
    assert state(other) is HealthState.CLOSED
    own_server.start()
    # Told again what the other one finds out, once both can hear.
    until(lambda: bool(fail(one, times=1) or state(other) is not HealthState.CLOSED))


def test_a_board_without_a_server_ever_joins_later(
    own_server: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("andon_redis.health.REST", 0.05)
    own_server.stop()
    board = RedisHealth(own_server.url)
    assert board.state("a", board._clock()) is HealthState.CLOSED
    assert board.admit("a", board._clock())
    until(lambda: not board._joining.locked())
    assert board._clerk is None
    own_server.start()
    until(lambda: bool(state(board)) and board._clerk is not None)
    board.close()


# -- Clients -----------------------------------------------------------------------------------------


def routing(url: str, by: str = "spillover") -> dict[str, Any]:
    return {"strategy": "redis", "url": url, "by": by}


@pytest.mark.parametrize("by", ["spillover", "in_order"])
def test_what_one_client_finds_out_another_need_not(url: str, by: str, until: Until) -> None:
    # It says itself how long it wants to rest, which is longer than any test.
    away = ServerError("away", status=503, retry_after=50.0)
    ill, well = ScriptedBackend([away]), ScriptedBackend(["here"])
    plugins = [andon_redis, plugin_with(ill=ill), plugin_with(well=well)]
    models = ["ill:m", "well:m"]
    made = {"discover": False, "plugins": plugins, "routing": routing(url, by)}
    with Client(**made) as one, Client(**made) as other:
        assert one.chat(models, "Hi").text == "here"
        assert len(ill.requests) == 1
        until(lambda: "ill:m" in other.resting())
        assert other.chat(models, "Hi").text == "here"
        assert len(ill.requests) == 1


def test_tasks_probe_without_holding_the_loop_up(url: str) -> None:
    ill, well = ScriptedBackend([DOWN]), ScriptedBackend(["here"])
    plugins = [andon_redis, plugin_with(ill=ill), plugin_with(well=well)]

    async def run() -> str:
        made: Any = {"discover": False, "plugins": plugins, "routing": routing(url)}
        async with AsyncClient(**made) as client:
            while "ill:m" not in await client.resting():
                await client.chat(["ill:m", "well:m"], "Hi")
            ill.script = ["well"]
            while (reply := await client.chat(["ill:m", "well:m"], "Hi")).text != "well":
                pass
            assert not await client.resting()
            return reply.text

    assert asyncio.run(asyncio.wait_for(run(), 20)) == "well"
