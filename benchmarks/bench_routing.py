"""What routing costs a request, and what spillover makes of a load that is too much.

The first part times ``admit`` and ``leave``. The second simulates 20,000 requests of 2 s
(lognormal) at a backend with 4 slots, beside a paid one that takes any number, at 0.9, 1.2 and 2
times its capacity, under several rules; the same seed gives the same figures everywhere::

    python benchmarks/bench_routing.py [--json] [--plot docs/how-to/spillover.svg]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from random import Random
from typing import Any

from andon import Locality
from andon.backends import Backend
from andon.routing import Ask, Candidate, RouterConfig, SpilloverRouter
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec
from andon.testing.queueing import Visit, poisson, simulate

SLOTS = 4
SERVICE = 2.0
OBJECTIVE = 2.0
COUNT = 20_000
LOADS = (0.9, 1.2, 2.0)
BOTH: dict[str, Any] = {"slots": {"local": SLOTS}, "service_time": SERVICE}

RULES = {
    "no spillover": RouterConfig(spillover_backends=(), **BOTH),
    "depth ≥ 10": RouterConfig(latency_objective=None, calm=1, **BOTH),
    "wait > 2 s": RouterConfig(calm=1, **BOTH),
    "wait > 2 s until 1 s": RouterConfig(**BOTH),
}


@dataclass(frozen=True)
class Figures:
    """What became of a load. Waits are in seconds, shares from 0 to 1."""

    rule: str
    load: float
    spilled: float
    rejected: float
    too_long: float
    p50: float
    p95: float
    p99: float
    flips_per_1000: float


def _create(context: BackendContext) -> Backend:
    raise NotImplementedError


def candidate(name: str, locality: Locality, cost: int = 0) -> Candidate:
    """Return a candidate that is only counted."""
    spec = BackendSpec(name=name, create=_create, locality=locality)
    return Candidate(ModelRef(name, "m"), spec, cost)


CANDIDATES = [candidate("local", Locality.LOCAL), candidate("paid", Locality.PUBLIC, 1_000)]


def play(rule: str, load: float) -> Figures:
    """Simulate one rule under one load."""
    router = SpilloverRouter(RULES[rule], random=Random(2))  # noqa: S311
    # The mean of a lognormal is exp(mu + sigma² / 2).
    traffic = poisson(
        Random(1),  # noqa: S311
        rate=load * SLOTS / SERVICE,
        count=COUNT,
        service=lambda random: random.lognormvariate(math.log(SERVICE) - 0.32, 0.8),
    )
    visits = simulate(router, CANDIDATES, traffic, {"local": SLOTS})
    waits = sorted(visit.wait for visit in visits if visit.backend)
    return Figures(
        rule=rule,
        load=load,
        spilled=_share(visits, "paid"),
        rejected=_share(visits, ""),
        too_long=sum(wait > OBJECTIVE for wait in waits) / len(waits),
        p50=_percentile(waits, 0.5),
        p95=_percentile(waits, 0.95),
        p99=_percentile(waits, 0.99),
        flips_per_1000=router.load("local").flips / COUNT * 1000,
    )


def overhead(candidates: int, runs: int = 9, count: int = 5_000) -> float:
    """Return the median microseconds of a request's way through a router."""
    router = SpilloverRouter(RouterConfig(**BOTH))
    asked = [
        CANDIDATES[0],
        *(candidate(f"paid-{n}", Locality.PUBLIC, 1_000) for n in range(candidates - 1)),
    ]
    ask = Ask(tokens=1_000, key="somebody")
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(count):
            router.admit(asked, ask, 1.0).leave(2.0, tokens=900)
        times.append((time.perf_counter() - start) / count * 1e6)
    return statistics.median(times)


def plot(rows: Sequence[Figures]) -> str:
    """Return bars of the 99th percentile of waits, for each load and rule, as an SVG."""
    colours = dict(zip(RULES, ("#8a8a8a", "#d98b3a", "#6aa5d8", "#1f5fa8"), strict=True))
    width, height, left, foot = 720, 360, 50, 300
    top = 32.0
    scale = (foot - 40) / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="20">99 % of requests wait no longer than … seconds</text>',
    ]
    for seconds in range(0, 31, 5):
        y = foot - seconds * scale
        parts.append(f'<path d="M{left} {y:.1f}H{width - 10}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{seconds}</text>')
    for group, load in enumerate(LOADS):
        x = left + 20 + group * 220
        for number, row in enumerate(row for row in rows if row.load == load):
            bar = row.p99 * scale
            at = x + number * 46
            parts.append(
                f'<rect x="{at}" y="{foot - bar:.1f}" width="40" height="{bar:.1f}" '
                f'fill="{colours[row.rule]}"/>'
                f'<text x="{at + 20}" y="{foot - bar - 5:.1f}" text-anchor="middle">'
                f"{row.p99:.1f}</text>"
            )
        parts.append(
            f'<text x="{x + 90}" y="{foot + 20}" text-anchor="middle">{load:g} × capacity</text>'
        )
    for number, rule in enumerate(RULES):
        x = left + 20 + number * 160
        parts.append(
            f'<rect x="{x}" y="{height - 24}" width="12" height="12" fill="{colours[rule]}"/>'
        )
        parts.append(f'<text x="{x + 18}" y="{height - 14}">{escape(rule)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _share(visits: Sequence[Visit], backend: str) -> float:
    return sum(visit.backend == backend for visit in visits) / len(visits)


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(rows: Sequence[Figures]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        "| load | rule | spilled | rejected | wait > 2 s | p50 | p95 | p99 | flips / 1000 |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.load:g} | {row.rule} | {row.spilled:.1%} | {row.rejected:.1%} | "
            f"{row.too_long:.1%} | {row.p50:.1f} s | {row.p95:.1f} s | {row.p99:.1f} s | "
            f"{row.flips_per_1000:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, help="write the waits as an SVG")
    arguments = parser.parse_args()
    costs = {number: overhead(number) for number in (1, 2, 3, 6)}
    rows = [play(rule, load) for load in LOADS for rule in RULES]
    if arguments.plot:
        arguments.plot.write_text(plot(rows), encoding="utf-8")
    if arguments.json:
        figures = [{name: getattr(row, name) for name in Figures.__annotations__} for row in rows]
        print(json.dumps({"microseconds": costs, "loads": figures}, indent=2))
        return
    for number, cost in costs.items():
        print(f"a request, {number} candidates {cost:8.2f} µs")
    print(table(rows))


if __name__ == "__main__":
    main()
