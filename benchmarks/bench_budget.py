"""What a reservation costs in each ledger, and how often money that is there is refused.

The first table: pairs of reserve and settle a second, in one process and in four at once. Redis is
measured where ``redis-server`` is installed.

The second: chats of many turns are asked for until the day's budget is used up, so many at a time.
A refusal is false where the request, and all those under way, would have fitted by what they really
cost. Reserved is a bound: of the prompt by its bytes, or by what earlier answers reported, and of
the answer by ``max_tokens``::

    python benchmarks/bench_budget.py [--pairs 3000] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from andon import (
    ChatMessage,
    ChatRequest,
    CircuitBreakerConfig,
    CostCircuitBreaker,
    DailyBudgetExceeded,
    MemoryLedger,
    Price,
    TokenPricing,
    Usage,
)
from andon.budget import Ledger, Reservation
from andon.budget.sqlite import SQLiteLedger
from andon.context import Calibration, ChatCounter

PRICING = TokenPricing.from_price(Price(input=Decimal("2.5"), output=Decimal(10)))
MAX_TOKENS = 1_000
WORDS = "the of and to in is that for with as on be at by this from or an are it was".split()


# -- Speed ----------------------------------------------------------------------------------------


def spend(ledger: Ledger, pairs: int) -> float:
    """Return pairs of reserve and settle a second."""
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=10**6), ledger=ledger)
    start = time.perf_counter()
    for _ in range(pairs):
        breaker.reserve_nano(1_000_000).settle_nano(400_000)
    return pairs / (time.perf_counter() - start)


def open_ledger(place: str) -> Ledger:
    """Return the ledger at a place."""
    if place == "memory":
        return MemoryLedger()
    if place.startswith("redis:"):
        from andon_redis.ledger import RedisLedger

        return RedisLedger(place)
    return SQLiteLedger(place)


def in_processes(count: int, place: str, pairs: int) -> float:
    """Return pairs a second of several processes together."""
    command = [sys.executable, __file__, "--worker", place, "--pairs", str(pairs)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(worker.communicate()[0]) for worker in workers)


@contextmanager
def redis_server(place: Path) -> Iterator[str | None]:
    """Start a server, if there is one to start."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", place]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    next(line for line in process.stdout if "Ready to accept" in line)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


def speeds(pairs: int) -> dict[str, tuple[float, float | None]]:
    """Return pairs a second of each ledger, in one process and in four."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        places = {"memory": "memory", "SQLite": f"{folder}/spend.db", "Redis": url}
        found: dict[str, tuple[float, float | None]] = {}
        for name, place in places.items():
            if place is not None:
                alone = spend(open_ledger(place), pairs)
                found[name] = alone, None if name == "memory" else in_processes(4, place, pairs)
        return found


# -- False refusals -------------------------------------------------------------------------------


def chats(choose: random.Random) -> Iterator[ChatRequest]:
    """Give the requests of chats of up to ten turns, one after the other."""

    def say(words: int) -> str:
        return " ".join(choose.choices(WORDS, k=words))

    while True:
        messages = [ChatMessage.system(say(150))]
        for _ in range(choose.randrange(1, 11)):
            messages.append(ChatMessage.user(say(choose.randrange(10, 400))))
            yield ChatRequest(model="m", messages=tuple(messages))
            messages.append(ChatMessage.assistant(say(choose.randrange(50, 300))))


def true_usage(request: ChatRequest, choose: random.Random) -> Usage:
    """Return what a provider reports: 4.3 bytes a token, and answers of ordinary length."""
    texts = sum(4 + len(message.text) / 4.3 for message in request.messages)
    return Usage(int(texts), min(int(choose.lognormvariate(5.6, 0.7)), MAX_TOKENS))


def refusals(budget_usd: int, at_once: int, learns: bool) -> tuple[int, int, float]:
    """Return requests granted, false refusals, and what of the budget was used at the first one."""
    choose = random.Random(1)  # noqa: S311  the same requests in every run
    breaker = CostCircuitBreaker(CircuitBreakerConfig(daily_budget_usd=budget_usd))
    calibration, counter = Calibration(), ChatCounter()
    running: list[tuple[Reservation, ChatRequest, Usage]] = []
    limit, spent, granted, false, first = budget_usd * 10**9, 0, 0, 0, 1.0
    for request in chats(choose):
        usage = true_usage(request, choose)
        cost = PRICING.cost_nano(usage)
        due = spent + sum(PRICING.cost_nano(used) for _, _, used in running)
        if due + cost > limit:
            break
        count = calibration.bound(request) if learns else counter.request(request)
        try:
            held = breaker.reserve_nano(PRICING.bound_nano(count.tokens, MAX_TOKENS, images=False))
        except DailyBudgetExceeded:
            false += 1
            first = min(first, due / limit)
            if false > 10_000:
                break
        else:
            granted += 1
            running.append((held, request, usage))
        while len(running) >= at_once or (running and false):
            reservation, sent, used = running.pop(choose.randrange(len(running)))
            spent += PRICING.cost_nano(used)
            reservation.settle_nano(PRICING.cost_nano(used))
            calibration.observe(sent, used.input_tokens)
    return granted, false, first


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3_000, help="pairs of each ledger")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(spend(open_ledger(arguments.worker), arguments.pairs))
        return
    fast = speeds(arguments.pairs)
    rows = [
        (budget, at_once, learns, *refusals(budget, at_once, learns))
        for budget in (1, 10)
        for at_once in (1, 8, 64)
        for learns in (False, True)
    ]
    if arguments.json:
        print(json.dumps({"pairs": fast, "refusals": rows}, indent=2))
        return
    print(f"{'pairs a second':16} {'1 process':>10} {'4 processes':>12}")
    for name, (alone, four) in fast.items():
        print(f"{name:16} {alone:10,.0f} {'' if four is None else f'{four:,.0f}':>12}")
    print(
        f"\n{'budget':>6} {'at once':>8} {'bound by':>10} {'granted':>8} {'false':>6} {'used':>7}"
    )
    for budget, at_once, learns, granted, false, first in rows:
        by = "usage" if learns else "bytes"
        print(f"{budget:5} $ {at_once:8} {by:>10} {granted:8,} {false:6} {first:7.1%}")


if __name__ == "__main__":
    main()
