"""Failover: what following a stream costs, and the gap that a killed server leaves.

Run from the repository's environment: ``python benchmarks/bench_failover.py``.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import andon_demo_model
from andon import Client, FailoverManager, TransportError
from andon.chat import ChatRequest
from andon.testing.scripted import ScriptedBackend, plugin_with

SERVERS = Path(__file__).parents[1] / "tests" / "servers"
TOKENS = 20_000
RUNS = 100


def best(work: Callable[[], None], times: int = 5) -> float:
    """Return the shortest of several times, in seconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def tracking() -> None:
    """Print what a token costs: the backend alone, the client, the client after a failover."""
    words = [f" w{at}" for at in range(TOKENS)]
    broken = ScriptedBackend([*words[:10], TransportError("cut")], continues=True)
    plugin = plugin_with(
        one=ScriptedBackend(words), bad=broken, two=ScriptedBackend(words, continues=True)
    )
    backend = ScriptedBackend(words)

    def bare() -> None:
        for _ in backend.stream(ChatRequest(model="m", prompt="hi", stream=True), None):
            pass

    with Client(discover=False, plugins=[plugin]) as client:

        def followed() -> None:
            for _ in client.stream("one:m", "hi"):
                pass

        def joined() -> None:
            # A new client each time: the old one would not ask a model again that always fails.
            with Client(discover=False, plugins=[plugin]) as other:
                for _ in other.stream(["bad:m", "two:m"], "hi"):
                    pass

        floor, follow, join = best(bare), best(followed), best(joined)
    manager = FailoverManager.with_defaults()
    manager.start_tracking("a", "hi")

    def tracked() -> None:
        for word in words:
            manager.append_tokens("a", word)

    for name, taken in (
        ("the scripted backend alone", floor),
        ("Client.stream, beyond that", follow - floor),
        ("Client.stream after a failover, beyond that", join - floor),
        ("FailoverManager.append_tokens", best(tracked)),
    ):
        print(f"{name:<48} {taken / TOKENS * 1e6:6.2f} µs a token")


def gaps() -> None:
    """Print the gap that kill -9 leaves, for each kind of successor."""
    runs = _module(SERVERS / "test_failover.py")
    [card] = andon_demo_model.andon_register_model_cards()
    rows = list(runs.questions())[:RUNS]
    with _Server(card.file()) as second:
        for successor in ("server:demo", "llama-cpp:demo"):
            found = [
                _gap(runs, row, at, successor, card.file(), second.url)
                for at, row in enumerate(rows)
            ]
            times = sorted(gap * 1000 for gap in found if gap)
            p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
            print(
                f"kill -9, then {successor:<16} {len(times)} answers, "
                f"gap p50 {p50:.1f} ms, p95 {p95:.1f} ms"
            )


def _gap(
    runs: ModuleType, row: dict[str, Any], at: int, successor: str, gguf: Path, second: str
) -> float | None:
    with _Server(gguf) as victim:
        endpoints = {
            "first": {"backend": "llama-cpp", "base_url": f"{victim.url}/v1"},
            "server": {"backend": "llama-cpp", "base_url": f"{second}/v1"},
        }
        with runs.connect(endpoints, andon_demo_model) as client:
            run = runs.killed(
                client, ("first:demo", successor), row["messages"], 1 + at % 6, victim.kill
            )
            assert run is None or run.whole == run.joined
            return None if run is None else float(run.gap)


class _Server:
    """A llama-server, killed at the end at the latest."""

    def __init__(self, gguf: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SERVERS / "run_llama_server.py"), str(gguf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = next(line.split()[1] for line in self._lines() if line.startswith("LISTENING"))

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.communicate()


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    tracking()
    gaps()
