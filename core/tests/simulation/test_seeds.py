"""Thousands of small worlds in which everything goes wrong; each is its seed's for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from andon import ChatResponse
from andon.simulation import InvariantBroken, World, run_seed

#: How many worlds a run looks at; more by hand: ANDON_SIMULATION_SEEDS=1000000.
SEEDS = int(os.environ.get("ANDON_SIMULATION_SEEDS", "8000"))
PARTS = 8


def seeds(part: int) -> range:
    """Return the seeds of a part of the run, or the one that is to be replayed."""
    one = os.environ.get("ANDON_SIMULATION_SEED")
    if one is not None:
        return range(int(one), int(one) + (part == 0))
    return range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_must_hold_holds_in_every_world(part: int) -> None:
    for seed in seeds(part):
        try:
            run_seed(seed)
        except InvariantBroken:
            trace: list[str] = []
            try:
                run_seed(seed, trace)
            finally:
                print(*trace[-200:], sep="\n")
                print(f"ANDON_SIMULATION_SEED={seed} replays it")


def outcomes(world: World) -> list[Any]:
    """Return all that a world came to."""
    found: list[Any] = [world.timeline.now]
    for visit in world.visits:
        outcome = visit.outcome
        told = repr(outcome.text) if isinstance(outcome, ChatResponse) else repr(outcome)
        found.append((visit.at, visit.first_at, visit.ended_at, told, visit.text, visit.settled))
    return found


def test_a_seed_replays_to_the_last_digit() -> None:
    for seed in range(200):
        assert outcomes(run_seed(seed)) == outcomes(run_seed(seed)), seed


def test_a_seed_replays_in_another_process() -> None:
    code = (
        "from andon.simulation import run_seed\n"
        "print([(world.timeline.now, [(v.ended_at, v.text, v.settled) for v in world.visits])"
        " for world in map(run_seed, range(100))])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1


def test_everything_that_can_happen_happens() -> None:
    kinds: set[str] = set()
    resumed = hedged = died = waited = 0
    for seed in range(600):
        world = run_seed(seed)
        died += any(not process.is_alive for process in world.processes)
        for visit in world.visits:
            kinds.add(type(visit.outcome).__name__)
            response = visit.response
            resumed += response is not None and any(delta.failover for delta in visit.received)
            hedged += len(visit.streams) > 1 and visit.order.failover.hedge_after is not None
            waited += visit.cancelled_at is not None
    assert min(resumed, hedged, died, waited) > 15, (resumed, hedged, died, waited)
    assert kinds >= {
        "Abandoned", "BadRequestError", "Cancelled", "ChatResponse", "ContentFilterError",
        "DailyBudgetExceeded", "NoneType", "OverloadedError", "PrivacyViolation",
        "RateLimitError", "Rejected", "RequestTimeout", "RequestTooExpensive", "RoutingError",
        "StreamInterrupted", "TransportError",
    }  # fmt: skip


def test_what_happened_can_be_read() -> None:
    trace: list[str] = []
    run_seed(3, trace)
    assert any("Send(" in line for line in trace)
    assert [float(line.split()[0]) for line in trace] == sorted(
        float(line.split()[0]) for line in trace
    )
