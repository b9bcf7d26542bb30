"""The clients that ``bench_http.py`` compares, each of which it runs in a process of its own.

``python benchmarks/http_peers.py PEER URL`` reads lines like ``sync 200`` (calls one after the
other), ``many 1600`` (calls of asyncio, 64 at once) or ``stream 1`` (streamed answers), and prints
the seconds that took; ``python benchmarks/http_peers.py PEER URL once`` makes one call and ends.
A peer that has no such way says ``none``. What it says begins with ``>``: libraries print as well.
"""

# ruff: noqa: D102  what the methods of a peer do, Peer says

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit

AT_ONCE = 64
MESSAGES: Any = [{"role": "user", "content": "Hello"}]
BODY = json.dumps({"model": "m", "messages": MESSAGES}, separators=(",", ":")).encode()
STREAM_BODY = BODY[:-1] + b',"stream":true}'


class Peer:
    """One client. What it has no way for, it leaves as None.

    :param url: the server's base URL, which ends in ``/v1``.
    """

    call: Callable[[], object] | None = None
    stream: Callable[[], object] | None = None
    acall: Callable[[], Awaitable[object]] | None = None
    #: For a program that makes one call.
    first: Callable[[], object] | None = None

    def __init__(self, url: str) -> None:
        self.url = url

    async def open(self) -> None:
        """Prepare for :attr:`acall`, in the event loop."""

    async def aclose(self) -> None:
        """Undo that."""


def _parse_events(data: bytes) -> None:
    """Do what nobody can leave out about the bytes of a stream: find events, parse JSON."""
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            json.loads(line[6:])


class Socket(Peer):
    """The floor: bytes and ``json.loads``, no HTTP to speak of."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self._sock = socket.create_connection((parts.hostname, parts.port or 80))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            "content-length: %d\r\n\r\n"
        ).encode()

    def call(self) -> object:
        self._sock.sendall(self._head % len(BODY) + BODY)
        return json.loads(self._sock.recv(65536).partition(b"\r\n\r\n")[2])

    def stream(self) -> object:
        self._sock.sendall(self._head % len(STREAM_BODY) + STREAM_BODY)
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            whole, _, rest = (rest + self._sock.recv(65536)).rpartition(b"\n\n")
            _parse_events(whole)
        return None


class Library(Peer):
    """``http.client``, as the standard library has it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        from http.client import HTTPConnection

        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port)
        self._path = parts.path + "/chat/completions"

    def call(self) -> object:
        self._connection.request("POST", self._path, BODY)
        return json.loads(self._connection.getresponse().read())


class Httpx2(Peer):
    """httpx2 alone."""

    def __init__(self, url: str) -> None:
        super().__init__(url + "/chat/completions")
        import httpx2

        self._library = httpx2
        self._client = httpx2.Client(trust_env=False)

    def call(self) -> object:
        return json.loads(self._client.post(self.url, content=BODY).content)

    def stream(self) -> object:
        rest = b""
        with self._client.stream("POST", self.url, content=STREAM_BODY) as reply:
            for data in reply.iter_bytes():
                whole, _, rest = (rest + data).rpartition(b"\n\n")
                _parse_events(whole)
        return None

    async def open(self) -> None:
        limits = self._library.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
        self._many = self._library.AsyncClient(trust_env=False, limits=limits)

    async def acall(self) -> object:
        return json.loads((await self._many.post(self.url, content=BODY)).content)

    async def aclose(self) -> None:
        await self._many.aclose()


class Aiohttp(Peer):
    """aiohttp alone."""

    def __init__(self, url: str) -> None:
        super().__init__(url + "/chat/completions")
        import aiohttp

        self._library = aiohttp

    async def open(self) -> None:
        connector = self._library.TCPConnector(limit=0)
        self._many = self._library.ClientSession(connector=connector)

    async def acall(self) -> object:
        async with self._many.post(self.url, data=BODY) as reply:
            return json.loads(await reply.read())

    async def aclose(self) -> None:
        await self._many.close()


class Transport(Peer):
    """andon's own transport, without andon."""

    def __init__(self, url: str) -> None:
        super().__init__(url + "/chat/completions")
        from andon.wire.http import ConnectionSettings, HTTPConnection
        from andon.wire.waits import Timeouts

        self._settings = ConnectionSettings(tls=False)
        self._connection = HTTPConnection(self._settings)
        self._timeouts = Timeouts()

    def call(self) -> object:
        with self._connection.send("POST", self.url, {}, BODY, self._timeouts) as reply:
            return json.loads(reply.read())

    def stream(self) -> object:
        rest = b""
        with self._connection.send("POST", self.url, {}, STREAM_BODY, self._timeouts) as reply:
            for data in reply.iter_bytes():
                whole, _, rest = (rest + data).rpartition(b"\n\n")
                _parse_events(whole)
        return None

    async def open(self) -> None:
        from andon.wire.http_async import AsyncHTTPConnection

        self._many = AsyncHTTPConnection(self._settings)

    async def acall(self) -> object:
        timeouts = self._timeouts
        async with await self._many.send("POST", self.url, {}, BODY, timeouts) as reply:
            return json.loads(await reply.aread())

    async def aclose(self) -> None:
        await self._many.aclose()


class Andon(Peer):
    """``andon.Client``: every gate, with a price, a budget and a profile."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        from decimal import Decimal
        from types import ModuleType

        import andon
        from andon.backends.http_backend import http_backend_spec
        from andon.wire.endpoint import EndpointSpec
        from andon.wire.openai_chat import openai_dialect

        endpoint = EndpointSpec(base_url=url, locality=andon.Locality.LOCAL)
        spec = http_backend_spec("up", endpoint, openai_dialect())
        plugin = ModuleType("up")
        vars(plugin)["andon_register_backends"] = andon.hookimpl(lambda: [spec])
        price = andon.Price(input=Decimal(1), output=Decimal(4))
        self._how: Any = {"discover": False, "plugins": [plugin], "prices": {"up:m": price}}
        self._library = andon
        self._client = andon.Client(**self._how)

    def call(self) -> object:
        return self._client.chat("up:m", MESSAGES).text

    def stream(self) -> object:
        for delta in self._client.stream("up:m", MESSAGES):
            _ = delta.text
        return None

    async def open(self) -> None:
        self._many = self._library.AsyncClient(**self._how)

    async def acall(self) -> object:
        return (await self._many.chat("up:m", MESSAGES)).text

    async def aclose(self) -> None:
        await self._many.aclose()


class AndonAsync(Andon):
    """The same, streamed by ``andon.AsyncClient``."""

    call: ClassVar[Any] = None
    acall: ClassVar[Any] = None

    def stream(self) -> object:
        import asyncio

        async def run() -> None:
            async with self._library.AsyncClient(**self._how) as client:
                async for delta in client.stream("up:m", MESSAGES):
                    _ = delta.text

        return asyncio.run(run())


class OpenAI(Peer):
    """OpenAI's SDK."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        import openai

        self._library = openai
        self._client = openai.OpenAI(base_url=url, api_key="k")

    def call(self) -> object:
        answer = self._client.chat.completions.create(model="m", messages=MESSAGES)
        return answer.choices[0].message.content

    def stream(self) -> object:
        for chunk in self._client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True
        ):
            _ = chunk.choices[0].delta.content
        return None

    async def open(self) -> None:
        self._many = self._library.AsyncOpenAI(base_url=self.url, api_key="k")

    async def acall(self) -> object:
        answer = await self._many.chat.completions.create(model="m", messages=MESSAGES)
        return answer.choices[0].message.content

    async def aclose(self) -> None:
        await self._many.close()


class Litellm(Peer):
    """litellm, which then fetches no list of prices."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm

        self._library = litellm
        self._how: Any = {
            "model": "openai/m", "messages": MESSAGES, "api_base": url, "api_key": "k",
        }  # fmt: skip

    def call(self) -> object:
        return self._library.completion(**self._how).choices[0].message.content

    def stream(self) -> object:
        for chunk in self._library.completion(**self._how, stream=True):
            _ = chunk.choices[0].delta.content
        return None

    async def acall(self) -> object:
        return (await self._library.acompletion(**self._how)).choices[0].message.content


class TensorZero(Peer):
    """TensorZero's gateway, embedded; it observes nothing."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        import tempfile
        from pathlib import Path

        import tensorzero

        self._library = tensorzero
        self._folder = tempfile.TemporaryDirectory()
        self._config = str(Path(self._folder.name) / "tensorzero.toml")
        Path(self._config).write_text(
            "[gateway]\nobservability.enabled = false\n"
            '[models.m]\nrouting = ["up"]\n'
            '[models.m.providers.up]\ntype = "openai"\nmodel_name = "m"\n'
            f'api_base = "{url}/"\napi_key_location = "none"\n',
            encoding="utf-8",
        )
        self._client = tensorzero.TensorZeroGateway.build_embedded(config_file=self._config)
        self._input: Any = {"messages": MESSAGES}

    def call(self) -> object:
        answer: Any = self._client.inference(model_name="m", input=self._input)
        return answer.content[0].text

    def stream(self) -> object:
        chunks: Any = self._client.inference(model_name="m", input=self._input, stream=True)
        for chunk in chunks:
            _ = chunk.content
        return None

    async def open(self) -> None:
        made: Any = self._library.AsyncTensorZeroGateway.build_embedded(config_file=self._config)
        self._many = await made

    async def acall(self) -> object:
        answer: Any = await self._many.inference(model_name="m", input=self._input)
        return answer.content[0].text

    async def aclose(self) -> None:
        await self._many.close()


PEERS: dict[str, type[Peer]] = {
    "raw socket": Socket,
    "http.client": Library,
    "raw httpx2": Httpx2,
    "raw aiohttp": Aiohttp,
    "andon's transport": Transport,
    "andon": Andon,
    "andon, asyncio": AndonAsync,
    "TensorZero": TensorZero,
    "openai": OpenAI,
    "litellm": Litellm,
}


async def _at_once(peer: Peer, count: int) -> float:
    import asyncio

    ask = peer.acall
    assert ask is not None
    await peer.open()

    async def worker(calls: int) -> None:
        for _ in range(calls):
            await ask()

    await asyncio.gather(*(worker(1) for _ in range(AT_ONCE)))  # opens the connections
    started = time.perf_counter()
    await asyncio.gather(*(worker(count // AT_ONCE) for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - started
    await peer.aclose()
    return seconds


def _measure(peer: Peer, what: str, count: int) -> float | None:
    """Return the seconds of one call or answer, or None where the peer has no such way."""
    if what == "many":
        if peer.acall is None:
            return None
        import asyncio  # here, since a program that makes one call does without

        return asyncio.run(_at_once(peer, count)) / count
    work = peer.call if what == "sync" else peer.stream
    if work is None:
        return None
    started = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - started) / count


def main() -> None:
    """Serve the benchmark, or make one call."""
    name, url, *rest = sys.argv[1:]
    try:
        peer = PEERS[name](url)
    except ImportError as error:
        print("> missing", error.name, flush=True)
        return
    if rest:
        assert peer.call is not None
        peer.call()
        return
    print("> ready", flush=True)
    for line in sys.stdin:
        what, count = line.split()
        seconds = _measure(peer, what, int(count))
        print(">", "none" if seconds is None else seconds, flush=True)


if __name__ == "__main__":
    main()
