"""What the corridor costs for each token and for each call, against the bare backend.

A backend that does no work gives its tokens through ``client.stream``, in threads and in asyncio,
and without a client. Absolute times belong to a machine; the differences are the corridor's::

    python benchmarks/bench_corridor.py [--runs 9] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Generator

from andon import AsyncClient, ChatDelta, ChatRequest, Client, FinishReason, Usage
from andon.testing import ScriptedBackend, plugin_with

TOKENS = 50_000
CALLS = 2_000
TOKEN = ChatDelta(text="x")
END = ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, TOKENS))


class Tireless(ScriptedBackend):
    """Gives many tokens as fast as Python can."""

    def stream(
        self, request: ChatRequest, timeout: float | None
    ) -> Generator[ChatDelta, None, None]:
        """Give the tokens."""
        for _ in range(TOKENS):
            yield TOKEN
        yield END

    async def astream(
        self,
        request: ChatRequest,
        timeout: float | None,
    ) -> AsyncIterator[ChatDelta]:
        """Give the tokens."""
        for _ in range(TOKENS):
            yield TOKEN
        yield END


def seconds(work: Callable[[], object], count: int, runs: int) -> float:
    """Return the median seconds of one of ``count`` items of work."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of each case."""
    plugin = plugin_with(tireless=Tireless(), terse=ScriptedBackend(["x"]))
    client = Client(discover=False, plugins=[plugin])
    plain = AsyncClient(discover=False, plugins=[plugin])

    async def aread() -> int:
        return sum([1 async for _ in plain.stream("tireless:m", "hi")])

    async def aask() -> None:
        for _ in range(CALLS):
            await plain.chat("terse:m", "hi")

    def read() -> int:
        return sum(1 for _ in client.stream("tireless:m", "hi"))

    def ask() -> None:
        for _ in range(CALLS):
            client.chat("terse:m", "hi")

    bare = Tireless()
    request = ChatRequest(model="m", prompt="hi")
    return {
        "a token, bare": seconds(lambda: sum(1 for _ in bare.stream(request, None)), TOKENS, runs),
        "a token, Client": seconds(read, TOKENS, runs),
        "a token, AsyncClient": seconds(lambda: asyncio.run(aread()), TOKENS, runs),
        "a call, Client": seconds(ask, CALLS, runs),
        "a call, AsyncClient": seconds(lambda: asyncio.run(aask()), CALLS, runs),
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9, help="runs of each case (default: 9)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    medians = {case: value * 1e6 for case, value in measure(arguments.runs).items()}
    if arguments.json:
        print(json.dumps(medians, indent=2))
        return
    for case, microseconds in medians.items():
        print(f"{case:24} {microseconds:8.2f} µs")


if __name__ == "__main__":
    main()
