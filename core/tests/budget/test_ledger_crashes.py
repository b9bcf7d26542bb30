"""Processes that die at any moment neither overspend together nor lose what was spent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from andon.budget.sqlite import SQLiteLedger

LIMIT = 2_000_000
DAY = "2026-01-31"

#: Reserves and settles as fast as it can, and writes down each step after it is done.
WORKER = """
import random, sys, time
from andon.budget import Charge, Hold
from andon.budget.sqlite import SQLiteLedger

path, name, seed, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
choose = random.Random(seed)
ledger = SQLiteLedger(path)
for number in range(10_000):
    amount = choose.randrange(1, 2_000)
    hold = Hold(
        id=f"{name}-{number}", amount=amount, charges=(Charge("all", "2026-01-31", limit),),
        expires=time.time() + 1000,
    )
    if ledger.reserve(hold).refused is not None:
        print("full", flush=True)
        break
    print("held", hold.id, amount, flush=True)
    paid = choose.randrange(0, amount + 1)
    ledger.settle(hold.id, paid)
    print("paid", hold.id, paid, flush=True)
"""


def test_processes_killed_at_random_moments(tmp_path: Path) -> None:
    """Six at a time, each killed after a random number of steps, for several rounds."""
    path, choose = tmp_path / "spend.db", random.Random(20260131)
    held: dict[str, int] = {}
    paid: dict[str, int] = {}
    ledger = SQLiteLedger(path)
    for turn in range(4):
        workers = [_start(path, f"w{turn}.{n}", choose.randrange(10**6)) for n in range(6)]
        for worker in workers:
            _read_some(worker, choose.randrange(20, 200), held, paid)
            os.kill(worker.pid, signal.SIGKILL)
            assert ledger.balance("all", DAY, 0).used <= LIMIT
        for worker in workers:
            _read_some(worker, 10**9, held, paid)
            worker.wait(10)
            worker.stdout.close()  # type: ignore[union-attr]
    used = ledger.balance("all", DAY, 0).used
    # Each worker may have died between a step and writing it down, so one of its steps may have
    # happened or not; everything that was written down did.
    certain = sum(paid.get(name, amount) for name, amount in held.items())
    in_doubt = 4 * 6 * 2_000
    assert abs(used - certain) <= in_doubt
    assert len(paid) > 500
    ledger.close()


def _start(path: Path, name: str, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(path), name, str(seed), str(LIMIT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _read_some(
    worker: subprocess.Popen[str], lines: int, held: dict[str, int], paid: dict[str, int]
) -> None:
    assert worker.stdout is not None
    for _ in range(lines):
        words = worker.stdout.readline().split()
        if len(words) != 3:
            return
        {"held": held, "paid": paid}[words[0]][words[1]] = int(words[2])
