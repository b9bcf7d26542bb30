"""What a hundred thousand calls leave behind in memory, through a client for each colour.

Prints the resident memory after every tenth of the calls. It grows as long as what is remembered on
purpose fills up (the ledger knows its last settlements, so that none counts twice), and not after::

    python benchmarks/bench_memory.py [--calls 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path

from http_peers import AT_ONCE, Andon
from http_upstream import upstream


def resident() -> int:
    """Return the memory of this process, in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def watch(name: str, work: Callable[[int], None], calls: int) -> None:
    """Print how the memory grows with the calls."""
    print(f"{name}: calls, MiB resident")
    for tenth in range(1, 11):
        work(calls // 10)
        print(f"  {calls // 10 * tenth:8,} {resident() / 2**20:8.2f}")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000, help="calls of each colour")
    calls = parser.parse_args().calls
    with upstream(min(os.sched_getaffinity(0))) as url:
        peer = Andon(url)

        def one_by_one(count: int) -> None:
            for _ in range(count):
                peer.call()

        watch("Client.chat", one_by_one, calls)

        async def many(count: int) -> None:
            async def worker() -> None:
                for _ in range(count // AT_ONCE):
                    await peer.acall()

            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

        with asyncio.Runner() as runner:
            runner.run(peer.open())
            watch("AsyncClient.chat, 64 at once", lambda count: runner.run(many(count)), calls)
            runner.run(peer.aclose())


if __name__ == "__main__":
    main()
