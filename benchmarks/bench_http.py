"""What a call and a streamed chunk cost over HTTP, against the raw client beneath.

A server in a process of its own answers as OpenAI's Chat Completions do. The raw client reads the
same bytes and parses the same JSON, and nothing else. The cases take turns. Absolute times belong
to a machine; the ratios hold::

    python benchmarks/bench_http.py [--runs 7] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from multiprocessing.connection import Connection
from types import ModuleType

from andon import AsyncClient, Client, Locality, Price, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

CALLS = 200
CHUNKS = 5_000
AT_ONCE = 64
MESSAGES = [{"role": "user", "content": "Hello"}]

_HI = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [_HI],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
_CHUNK = {
    "id": "chatcmpl-0123456789abcdefghijklmnopq",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "some-model-2026-01-01",
    "system_fingerprint": "fp_0123456789",
    "choices": [{"index": 0, "delta": {"content": " hello"}, "finish_reason": None}],
}


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _replies() -> tuple[bytes, bytes]:
    """Return the bytes of a whole answer and of a streamed one."""
    body = json.dumps(_ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    stop = {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = _chunked(_event(_CHUNK)) * CHUNKS + _chunked(_event(stop) + b"data: [DONE]\n\n")
    stream_head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
    )
    return head % len(body) + body, stream_head + b"\r\n\r\n" + stream + b"0\r\n\r\n"


class _Upstream(asyncio.Protocol):
    """Answers every request at once."""

    whole, streamed = _replies()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        head, end, rest = self._waiting.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if end and len(rest) >= length:
            self._waiting = rest[length:]
            reply = self.streamed if b'"stream":true' in rest[:length] else self.whole
            assert isinstance(self._transport, asyncio.WriteTransport)
            self._transport.write(reply)


def _serve(ready: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _body(stream: bool) -> bytes:
    request = {"model": "m", "messages": MESSAGES, **({"stream": True} if stream else {})}
    return json.dumps(request, separators=(",", ":")).encode()


def _raw_cases(url: str) -> dict[str, tuple[Callable[[], object], int]]:
    import aiohttp
    import httpx2

    from andon.wire.sse import SSEDecoder

    client = httpx2.Client(trust_env=False)

    def calls() -> None:
        for _ in range(CALLS):
            json.loads(client.post(url, content=_body(False)).content)

    def stream() -> None:
        decoder = SSEDecoder()
        with client.stream("POST", url, content=_body(True)) as reply:
            for data in reply.iter_bytes():
                for event in decoder.feed(data):
                    if event.data != "[DONE]":
                        json.loads(event.data)

    async def ask() -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
        async with httpx2.AsyncClient(trust_env=False, limits=limits) as many:

            async def one() -> None:
                json.loads((await many.post(url, content=_body(False))).content)

            await _at_once(one)

    async def ask_aiohttp() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as many:

            async def one() -> None:
                async with many.post(url, data=_body(False)) as reply:
                    json.loads(await reply.read())

            await _at_once(one)

    return {
        "call, raw httpx2": (calls, CALLS),
        "chunk, raw httpx2": (stream, CHUNKS),
        "call of 64 at once, raw httpx2": (lambda: asyncio.run(ask()), CALLS * 8),
        "call of 64 at once, raw aiohttp": (lambda: asyncio.run(ask_aiohttp()), CALLS * 8),
    }


def _our_cases(base_url: str) -> dict[str, tuple[Callable[[], object], int]]:
    spec = http_backend_spec(
        "up", EndpointSpec(base_url=base_url, locality=Locality.LOCAL), openai_dialect()
    )
    plugin = ModuleType("up")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    prices = {"up:m": Price(input=Decimal(1), output=Decimal(4))}
    client = Client(discover=False, plugins=[plugin], prices=prices)

    def calls() -> None:
        for _ in range(CALLS):
            client.chat("up:m", MESSAGES)

    def stream() -> None:
        for _ in client.stream("up:m", MESSAGES):
            pass

    async def ask() -> None:
        async with AsyncClient(discover=False, plugins=[plugin], prices=prices) as many:

            async def one() -> None:
                await many.chat("up:m", MESSAGES)

            await _at_once(one)

    return {
        "call, Client.chat": (calls, CALLS),
        "chunk, Client.stream": (stream, CHUNKS),
        "call of 64 at once, AsyncClient.chat": (lambda: asyncio.run(ask()), CALLS * 8),
    }


async def _at_once(one: Callable[[], Awaitable[None]]) -> None:
    async def worker() -> None:
        for _ in range(CALLS * 8 // AT_ONCE):
            await one()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of each case's one call or chunk."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        base_url = f"http://127.0.0.1:{here.recv()}/v1"
        cases = _raw_cases(f"{base_url}/chat/completions") | _our_cases(base_url)
        times: dict[str, list[float]] = {case: [] for case in cases}
        for turn in range(runs + 1):
            for case, (work, count) in cases.items():
                seconds = _seconds(work) / count
                if turn:  # the first turn opens connections and fills caches
                    times[case].append(seconds)
    finally:
        server.terminate()
        server.join()
    return {case: statistics.median(values) for case, values in times.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each case (default: 7)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    medians = {case: seconds * 1e6 for case, seconds in measure(arguments.runs).items()}
    if arguments.json:
        print(json.dumps(medians, indent=2))
        return
    for case, microseconds in medians.items():
        print(f"{case:40} {microseconds:9.1f} µs")


if __name__ == "__main__":
    main()
