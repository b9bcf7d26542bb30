"""What calls, streams and first answers cost over HTTP: the floor, the raw clients, the peers.

A server in C answers at once, as OpenAI's Chat Completions do, on a core of its own. Each client
lives in a process of its own on another core, the same for all; and they take turns, so that a busy
machine disturbs all alike. Absolute times belong to a machine; the ratios hold. A peer that is not
installed is left out; one whose requirements contradict another's may have its own interpreter::

    python benchmarks/bench_http.py [--runs 7] [--only sync many stream start] [--json]
        [--python litellm=OTHER/bin/python]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from http_peers import AT_ONCE, PEERS
from http_upstream import CHUNKS, upstream

#: What is measured, and how many calls or answers a turn has.
TURNS: Mapping[str, int] = {"sync": 200, "many": AT_ONCE * 10, "stream": 1}
_PEERS = Path(__file__).with_name("http_peers.py")
#: What a program that makes one call is compared with.
STARTS = ("http.client", "raw httpx2", "andon", "TensorZero", "openai", "litellm")

Times = dict[str, dict[str, list[float]]]


class Process:
    """A client in a process of its own."""

    def __init__(self, name: str, command: Sequence[str | Path]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.missing = self._read().partition("missing ")[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, what: str, count: int) -> float | None:
        """Return the seconds of one call or answer, or None where there is no such way."""
        assert self._process.stdin is not None
        print(what, count, file=self._process.stdin, flush=True)
        said = self._read()
        return None if said == "none" else float(said)

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("> "):
                return line[2:].strip()
        raise RuntimeError(f"{self.name} ended")


def measure(commands: Mapping[str, Sequence[str | Path]], runs: int, only: Sequence[str]) -> Times:
    """Return the seconds of each client's calls and answers, turn by turn."""
    times: Times = {what: {} for what in TURNS if what in only}
    with ExitStack() as stack:
        processes = []
        for name, command in commands.items() if times else ():
            process = stack.enter_context(Process(name, command))
            if process.missing:
                print(f"{name}: left out, {process.missing} is not installed", file=sys.stderr)
            else:
                processes.append(process)
        for turn in range(runs + 1):
            for what, found in times.items():
                for process in processes:
                    seconds = process.ask(what, TURNS[what])
                    if turn and seconds is not None:  # the first turn fills caches
                        found.setdefault(process.name, []).append(seconds)
    return times


def starts(commands: Mapping[str, Sequence[str | Path]], runs: int) -> dict[str, list[float]]:
    """Return the seconds of programs that make one call, from their start to their end."""
    times: dict[str, list[float]] = {}
    for turn in range(runs + 1):
        for name in filter(commands.__contains__, STARTS):
            started = time.perf_counter()
            done = subprocess.run([*commands[name], "once"], check=True, capture_output=True)
            if turn and b"> missing" not in done.stdout:
                times.setdefault(name, []).append(time.perf_counter() - started)
    return times


def show(what: str, times: Mapping[str, Sequence[float]]) -> None:
    """Print one table."""
    titles: dict[str, tuple[str, float]] = {
        "sync": ("a call, one after the other (µs)", 1e6),
        "many": (f"a call of {AT_ONCE} at once, asyncio (µs; calls a second)", 1e6),
        "stream": ("a chunk of a stream (µs)", 1e6 / CHUNKS),
        "start": ("a program that makes one call, start to end (ms)", 1e3),
    }
    title, unit = titles[what]
    print(f"\n{title}")
    for name, values in times.items():
        middle = statistics.median(values)
        spread = f"[{min(values) * unit:.1f} to {max(values) * unit:.1f}]"
        rate = f"{1 / middle:9,.0f}" if what == "many" else ""
        print(f"  {name:20} {middle * unit:9.1f} {rate}  {spread}")


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="turns of each client (default: 7)")
    parser.add_argument("--only", nargs="+", choices=[*TURNS, "start"], default=[*TURNS, "start"])
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument(
        "--python", action="append", default=[], metavar="PEER=PATH", help="a peer's interpreter"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    pythons = dict(entry.split("=", 1) for entry in arguments.python)
    cores = sorted(os.sched_getaffinity(0))
    with upstream(cores[0]) as url:
        os.sched_setaffinity(0, cores[-1:])  # and all that is started from here
        commands: dict[str, Sequence[str | Path]] = {
            name: [pythons.get(name, sys.executable), _PEERS, name, url] for name in arguments.peers
        }
        found: dict[str, Any] = dict(measure(commands, arguments.runs, arguments.only))
        if "start" in arguments.only:
            found["start"] = starts(commands, arguments.runs)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for what, times in found.items():
        show(what, times)


if __name__ == "__main__":
    main()
