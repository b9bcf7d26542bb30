"""Processes that die at any moment neither overspend together nor lose what was spent.

Every state that the file ever has is looked at: a trigger in the database itself notes each
balance above its limit, at the moment when it is written.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from andon.budget import Balance, Charge, Hold
from andon.budget.sqlite import SQLiteLedger

LIMIT, DAYS, THREADS = 150_000, 6, 3
EVER = 4e9

#: Reserves and settles in several threads; says what it is about to do, and what it has done.
WORKER = f"""
import random, sys, threading
from andon.budget import Charge, Hold
from andon.budget.sqlite import SQLiteLedger

path, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
ledger = SQLiteLedger(path)

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def work(thread):
    choose = random.Random(seed * 100 + thread)
    open_holds = []
    for number in range(100_000):
        day = f"2026-01-{{1 + number * {DAYS} // 400 % {DAYS}:02}}"
        id, amount = f"{{name}}.{{thread}}.{{number}}", choose.randrange(1, 2_000)
        team = Charge(f"team-{{thread}}", day, {LIMIT} // 2)
        hold = Hold(
            id=id, amount=amount, charges=(Charge("all", day, {LIMIT}), team),
            created={EVER}, expires={EVER} + choose.choice([0, 1000]), model=day,
        )
        say("reserve", id, amount)
        if ledger.reserve(hold).refused is not None:
            say("refused", id, amount)
        else:
            say("held", id, amount)
            open_holds.append((hold, amount))
        if choose.random() < 0.1 and open_holds:
            ledger.reserve(choose.choice(open_holds)[0])  # again, as after a lost reply
        while len(open_holds) > choose.randrange(4):
            hold, amount = open_holds.pop(choose.randrange(len(open_holds)))
            paid = choose.randrange(amount + 1)
            say("settle", hold.id, paid)
            ledger.settle(hold.id, paid)
            say("paid", hold.id, paid)
            if choose.random() < 0.1:
                ledger.settle(hold.id, paid + 1)  # once more, and wrong

for thread in range({THREADS}):
    threading.Thread(target=work, args=(thread,)).start()
"""

WATCH = f"""
CREATE TABLE breaches (account TEXT, period TEXT, used INTEGER);
CREATE TRIGGER watch_update AFTER UPDATE ON balances
WHEN NEW.used < 0 OR NEW.used > CASE WHEN NEW.account = 'all' THEN {LIMIT} ELSE {LIMIT // 2} END
BEGIN INSERT INTO breaches VALUES (NEW.account, NEW.period, NEW.used); END;
CREATE TRIGGER watch_insert AFTER INSERT ON balances
WHEN NEW.used < 0 OR NEW.used > CASE WHEN NEW.account = 'all' THEN {LIMIT} ELSE {LIMIT // 2} END
BEGIN INSERT INTO breaches VALUES (NEW.account, NEW.period, NEW.used); END;
"""


@dataclass
class Diary:
    """What the workers said: what they meant to do, and what was done."""

    meant: dict[str, dict[str, int]] = field(default_factory=lambda: {"reserve": {}, "settle": {}})
    done: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"held": {}, "paid": {}, "refused": {}}
    )

    def write(self, line: str) -> None:
        words = line.split()
        if len(words) != 3 or not line.endswith("\n"):
            return  # cut off in the middle
        verb, name, amount = words
        book = self.meant if verb in self.meant else self.done
        book[verb][name] = int(amount)


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    ledger = SQLiteLedger(tmp_path / "spend.db")
    ledger.balance("all", "2026-01-01", EVER)
    with sqlite3.connect(tmp_path / "spend.db") as connection:
        connection.executescript(WATCH)
    connection.close()
    return ledger


def test_processes_killed_at_random_moments(ledger: SQLiteLedger, tmp_path: Path) -> None:
    """Twelve processes of three threads, three at a time, each killed at some moment."""
    diary, choose = Diary(), random.Random(20260131)
    for turn in range(4):
        workers = [
            _start(tmp_path / "spend.db", f"w{turn}{number}", choose.randrange(10**6))
            for number in range(3)
        ]
        for worker in workers:
            _read(worker, choose.randrange(200, 2_000), diary)
            os.kill(worker.pid, signal.SIGKILL)
        for worker in workers:
            _read(worker, 10**9, diary)
            worker.wait(10)
            worker.stdout.close()  # type: ignore[union-attr]
    kept = _holds(tmp_path / "spend.db")
    _check_nothing_is_lost_or_counted_twice(diary, kept)
    _check_balances(ledger, kept)
    _check_late_settlements(ledger, kept)
    # How many get through depends on how the processes take turns.
    assert len(diary.done["held"]) + len(diary.done["paid"]) > 500
    assert diary.done["refused"]
    assert _breaches(tmp_path / "spend.db") == []
    too_much = Hold(id="x", amount=LIMIT + 1, charges=(Charge("all", "2026-02-01", None),))
    ledger.reserve(too_much)
    assert _breaches(tmp_path / "spend.db") == [("all", "2026-02-01", LIMIT + 1)]
    ledger.close()


def _breaches(path: Path) -> list[tuple[str, str, int]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT * FROM breaches").fetchall()
    connection.close()
    return found


def _check_nothing_is_lost_or_counted_twice(
    diary: Diary, kept: dict[str, tuple[int, int | None, str, float]]
) -> None:
    for name, amount in diary.done["held"].items():
        assert kept[name][0] == amount
    for name, amount in diary.done["paid"].items():
        assert kept[name][1] == amount
    for name, (amount, settled, _, _) in kept.items():
        # Done, or about to be done when its process died; and nothing else.
        assert diary.meant["reserve"][name] == amount
        assert settled is None or diary.meant["settle"][name] == settled
    assert not diary.done["refused"].keys() & kept.keys()


def _check_balances(
    ledger: SQLiteLedger, kept: dict[str, tuple[int, int | None, str, float]]
) -> None:
    """What nobody settled is held, and spent once its time is over."""
    for now in (EVER, EVER + 2000):
        spent: Counter[str] = Counter()
        held: Counter[str] = Counter()
        for amount, settled, day, expires in kept.values():
            if settled is not None:
                spent[day] += settled
            elif expires <= now:
                spent[day] += amount
            else:
                held[day] += amount
        for day in spent.keys() | held.keys():
            assert ledger.balance("all", day, now) == Balance(spent[day], held[day])


def _check_late_settlements(
    ledger: SQLiteLedger, kept: dict[str, tuple[int, int | None, str, float]]
) -> None:
    due: Counter[str] = Counter()
    for name, (amount, settled, day, _) in kept.items():
        if settled is None:
            ledger.settle(name, amount // 2)
        due[day] += amount // 2 if settled is None else settled
    for day, amount in due.items():
        assert ledger.balance("all", day, EVER + 2000) == Balance(amount, 0)


def _holds(path: Path) -> dict[str, tuple[int, int | None, str, float]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT id, amount, settled, model, expires FROM holds")
        found = {name: tuple(rest) for name, *rest in rows}
    connection.close()
    return found


def _start(path: Path, name: str, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(path), name, str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _read(worker: subprocess.Popen[str], lines: int, diary: Diary) -> None:
    assert worker.stdout is not None
    for _ in range(lines):
        line = worker.stdout.readline()
        if not line:
            return
        diary.write(line)
