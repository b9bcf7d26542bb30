"""Bursts at real servers: two llama-servers with the demo model, and a paid backend behind them.

How long requests wait for their first token, at 0.9, 1.2 and 2 times what the servers can do, under
several rules. The paid backend is made up; it takes any number, each as long as a server does when
it is idle. Absolute times belong to a machine, which should have nothing else to do::

    python benchmarks/bench_load.py [--count 200] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import andon_demo_model
from andon import AsyncClient, ChatDelta, ChatRequest, Locality, Price, Rejected, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.specs import BackendSpec
from andon.testing import ScriptedBackend
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_quirks import LLAMA_SERVER

SERVE = Path(__file__).resolve().parent.parent / "tests" / "servers" / "run_llama_server.py"
MODELS = ["first:demo", "second:demo", "paid:m"]
LOADS = (0.9, 1.2, 2.0)


class Paid(ScriptedBackend):
    """Answers any number at once, each after the same time."""

    seconds = 0.0

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        """Wait, and answer."""
        await asyncio.sleep(self.seconds)
        async for delta in super().astream(request, timeout):
            yield delta


@dataclass(frozen=True)
class Figures:
    """What became of a load. Times are in seconds, shares from 0 to 1."""

    load: float
    rule: str
    paid: float
    rejected: float
    p50: float
    p95: float
    p99: float


@contextmanager
def llama_server() -> Iterator[str]:
    """Run a server; give its address."""
    (card,) = andon_demo_model.andon_register_model_cards()
    assert card.file is not None
    process = subprocess.Popen(
        [sys.executable, str(SERVE), str(card.file())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("LISTENING"):
                yield line.split()[1]
                break
        process.terminate()


def plugin(urls: Sequence[str], paid: Paid) -> ModuleType:
    """Return a plugin that offers the servers and the paid backend."""
    specs = [
        http_backend_spec(
            name, EndpointSpec(base_url=url, locality=Locality.LOCAL), openai_dialect(LLAMA_SERVER)
        )
        for name, url in zip(("first", "second"), urls, strict=True)
    ]
    specs.append(BackendSpec(name="paid", create=lambda context: paid, locality=Locality.PUBLIC))
    module = ModuleType("servers")
    vars(module)["andon_register_backends"] = hookimpl(lambda: specs)
    return module


def rules(service: float) -> dict[str, dict[str, Any]]:
    """Return the rules, as settings; the objective is twice the time of a request."""
    both = {"strategy": "spillover", "slots": {"first": 1, "second": 1}, "service_time": service}
    return {
        "no spillover": {**both, "spillover_backends": ["second"], "latency_objective": None},
        "depth ≥ 10": {**both, "latency_objective": None, "calm": 1.0},
        "wait": {**both, "latency_objective": 2 * service},
    }


class Bench:
    """Two servers and a paid backend.

    :param urls: the servers.
    :param count: requests of a run.
    """

    def __init__(self, urls: Sequence[str], count: int) -> None:
        self._paid = Paid(["paid"])
        self._plugin = plugin(urls, self._paid)
        self._count = count

    def client(self, routing: dict[str, Any]) -> AsyncClient:
        """Return a client with a routing strategy."""
        one = Decimal(1)
        return AsyncClient(
            discover=False,
            plugins=[self._plugin],
            prices={"paid:m": Price(input=one, output=one)},
            routing=routing,
        )

    async def service_time(self) -> float:
        """Return the mean seconds of a request while both servers are busy with one each."""
        async with self.client({"strategy": "in_order"}) as client:
            for model in MODELS[:2]:
                await self._ask(client, [model], 0)
            begin = time.perf_counter()
            each = 20

            async def series(model: str) -> None:
                for number in range(each):
                    await self._ask(client, [model], number)

            await asyncio.gather(*(series(model) for model in MODELS[:2]))
            self._paid.seconds = (time.perf_counter() - begin) / each
            return self._paid.seconds

    async def run(self, load: float, rule: str, service: float) -> Figures:
        """Send a burst."""
        random = Random(1)  # noqa: S311
        async with self.client(rules(service)[rule]) as client:
            tasks = []
            for number in range(self._count):
                tasks.append(asyncio.create_task(self._ask(client, MODELS, number)))
                await asyncio.sleep(random.expovariate(load * 2 / service))
            answers = await asyncio.gather(*tasks)
        served = sorted(first for backend, first in answers if backend)
        return Figures(
            load=load,
            rule=rule,
            paid=sum(backend == "paid" for backend, _ in answers) / len(answers),
            rejected=1 - len(served) / len(answers),
            p50=served[len(served) // 2],
            p95=served[int(0.95 * len(served))],
            p99=served[int(0.99 * len(served))],
        )

    async def _ask(
        self, client: AsyncClient, models: Sequence[str], number: int
    ) -> tuple[str, float]:
        begin = time.perf_counter()
        first: float | None = None
        try:
            stream = client.stream(models, f"Tell me about the number {number}.", max_tokens=48)
            async for _ in stream:
                first = first or time.perf_counter() - begin
        except Rejected:
            return "", 0.0
        return stream.response.backend, first or time.perf_counter() - begin


async def measure(urls: Sequence[str], count: int) -> list[Figures]:
    """Return the figures of every load and rule."""
    bench = Bench(urls, count)
    service = await bench.service_time()
    return [await bench.run(load, rule, service) for load in LOADS for rule in rules(service)]


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="requests of a run (default: 200)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        urls = [stack.enter_context(llama_server()) for _ in range(2)]
        rows = asyncio.run(measure(urls, arguments.count))
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print("| load | rule | paid | rejected | first token p50 | p95 | p99 |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    for row in rows:
        print(
            f"| {row.load:g} | {row.rule} | {row.paid:.1%} | {row.rejected:.1%} | "
            f"{row.p50 * 1e3:.0f} ms | {row.p95 * 1e3:.0f} ms | {row.p99 * 1e3:.0f} ms |"
        )


if __name__ == "__main__":
    main()
