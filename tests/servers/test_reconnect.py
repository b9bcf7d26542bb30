"""A connection to a llama-server is cut, again and again: its stream goes on at the same byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import andon_llama_cpp
from andon import AsyncClient, Client, StreamInterrupted, events
from andon.settings import Settings
from andon.testing import EventLog

#: Questions that the demo model was not trained on.
QUESTIONS = Path(__file__).parents[2] / "plugins/andon-demo-model/tests/data/held_out.jsonl"
MODEL = "llama-cpp:demo"
#: An answer of this form takes the demo model about a second, and most of its window.
LONG = {"type": "array", "items": {"type": "integer"}, "minItems": 300}
#: Seconds within which a server must have stopped generating.
SOON = 10.0

_EVENT = re.compile(rb"data: .*?\n\n", re.DOTALL)


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes bytes on, and cuts each connection after so many whole events of a stream.

    :param target: the server's address.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        #: After how many events; never where None.
        self.every: int | None = None
        #: How many connections were cut.
        self.cuts = 0
        #: What each connection began with.
        self.begun: list[str] = []
        #: The ids of the streams that were begun.
        self.streams: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        with socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._back, args=(server, request), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                first = True
                while data := request.recv(65536):
                    if first:
                        first = False
                        self.begun.append(data.partition(b" HTTP/")[0].decode())
                        self.streams += re.findall(r"x-conversation-id: (\w+)", data.decode())
                    server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        seen = b""
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                ends = [found.end() for found in _EVENT.finditer(seen + data)]
                if self.every is not None and len(ends) >= self.every:
                    client.sendall(data[: ends[self.every - 1] - len(seen)])
                    self.cuts += 1
                    break
                seen += data
                client.sendall(data)
        for side in (client, server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(llama_server: str) -> Iterator[CuttingProxy]:
    with CuttingProxy(llama_server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(url: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as reply:
        data: bytes = reply.read()
        return data


def generated(url: str) -> int:
    """Return how many tokens a server has generated since its start."""
    found = re.search(rb"^llamacpp:tokens_predicted_total (\d+)$", fetch(f"{url}/metrics"), re.M)
    assert found is not None
    return int(found[1])


def is_busy(url: str) -> bool:
    return any(slot["is_processing"] for slot in json.loads(fetch(f"{url}/slots")))


def stops_soon(url: str) -> bool:
    """Whether a server stops generating; asked again and again, each answer taking its time."""
    deadline = time.monotonic() + SOON
    while is_busy(url):
        if time.monotonic() > deadline:
            return False
    return True


def settings(url: str, **more: Any) -> Settings:
    endpoint = {"base_url": url, "resumable": True, **more}
    return Settings(endpoints={"llama-cpp": endpoint})


def connect(url: str, log: EventLog, **more: Any) -> Client:
    plugins = [andon_llama_cpp, log.plugin]
    return Client(discover=False, plugins=plugins, settings=settings(url, **more))


def chats(count: int) -> list[list[dict[str, Any]]]:
    rows = map(json.loads, QUESTIONS.read_text(encoding="utf-8").splitlines())
    return [row["messages"] for row in rows if not row.get("tools")][:count]


def reconnections(log: EventLog) -> list[events.StreamReconnected]:
    return [event for event in log.events if isinstance(event, events.StreamReconnected)]


def failures(log: EventLog) -> list[Any]:
    return [event for event in log.events if isinstance(event, events.AttemptFailed)]


# -- Cut after every k-th event ---------------------------------------------------------------------


class Asked:
    """What a caller got."""

    def __init__(self, deltas: list[Any], response: Any) -> None:
        # Ids differ from answer to answer.
        self.pieces = [
            (delta.text, [replace(call, id="") for call in delta.tool_calls]) for delta in deltas
        ]
        self.usage = response.usage
        self.finish_reason = response.finish_reason
        self.attempts = [attempt.error for attempt in response.attempts]

    def tokens(self) -> tuple[int, int]:
        return self.usage.input_tokens, self.usage.output_tokens


def ask_in_threads(url: str, log: EventLog, chat: Any, options: Any, more: Any) -> Asked:
    with connect(url, log, **more) as client:
        stream = client.stream(MODEL, chat, temperature=0, **options)
        return Asked(list(stream), stream.response)


def ask_in_a_task(url: str, log: EventLog, chat: Any, options: Any, more: Any) -> Asked:
    async def run() -> Asked:
        plugins = [andon_llama_cpp, log.plugin]
        async with AsyncClient(
            discover=False, plugins=plugins, settings=settings(url, **more)
        ) as client:
            stream = client.stream(MODEL, chat, temperature=0, **options)
            deltas = [delta async for delta in stream]
            return Asked(deltas, stream.response)

    return asyncio.run(run())


Ask = Callable[[str, EventLog, Any, Any, Any], Asked]


@pytest.fixture(params=[ask_in_threads, ask_in_a_task], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("api", ["chat", "completions"])
def test_an_answer_is_the_same_whatever_is_cut(
    proxy: CuttingProxy, llama_server: str, demo_gguf: Path, ask: Ask, api: str, every: int
) -> None:
    more = {"api": "completions", "chat_template": str(demo_gguf)} if api == "completions" else {}
    cuts = 0
    for chat in chats(8):
        proxy.every = None
        wanted = ask(proxy.url, EventLog(), chat, {"max_tokens": 60}, more)
        log, before = EventLog(), generated(llama_server)
        proxy.every, proxy.cuts, proxy.begun = every, 0, []
        got = ask(proxy.url, log, chat, {"max_tokens": 60}, more)
        assert got.pieces == wanted.pieces
        assert got.finish_reason is wanted.finish_reason
        assert got.tokens() == wanted.tokens()
        # One generation, and one attempt.
        assert generated(llama_server) - before == got.usage.output_tokens
        assert [line.split()[0] for line in proxy.begun].count("POST") == 1
        assert got.attempts == [None]
        assert not failures(log)
        # The first event has no text, and the last ones come when all of it is there.
        assert proxy.cuts - 3 <= len(reconnections(log)) <= proxy.cuts
        cuts += proxy.cuts
    assert cuts >= 8 // every


@pytest.mark.parametrize("every", [1, 4])
def test_json_and_tool_calls_as_well(
    proxy: CuttingProxy, llama_server: str, ask: Ask, every: int
) -> None:
    schema = {
        "type": "object",
        "properties": {"country": {"type": "string"}, "capital": {"type": "string"}},
        "required": ["country", "capital"],
        "additionalProperties": False,
    }
    weather = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
    for question, options in (
        ("Tell me a country and its capital.", {"response_format": schema}),
        ("What is the weather in Brussels?", {"tools": [weather]}),
    ):
        proxy.every = None
        wanted = ask(proxy.url, EventLog(), question, {"max_tokens": 60, **options}, {})
        proxy.every, proxy.cuts = every, 0
        got = ask(proxy.url, EventLog(), question, {"max_tokens": 60, **options}, {})
        assert (got.pieces, got.tokens()) == (wanted.pieces, wanted.tokens())
        assert proxy.cuts


# -- Left --------------------------------------------------------------------------------------------


def test_leaving_a_stream_stops_the_slot(llama_server: str) -> None:
    with connect(llama_server, EventLog()) as client:
        with client.stream(MODEL, "Count.", response_format=LONG, max_tokens=900) as stream:
            assert next(stream).text
            assert is_busy(llama_server)
            before = generated(llama_server)
        assert stops_soon(llama_server)
        # It did not just come to its end, which is far.
        assert generated(llama_server) - before < 300


def test_a_task_that_is_cancelled_stops_the_slot(llama_server: str) -> None:
    async def run() -> None:
        plugins = [andon_llama_cpp]
        async with AsyncClient(
            discover=False, plugins=plugins, settings=settings(llama_server)
        ) as client:
            begun = asyncio.Event()

            async def read() -> None:
                stream = client.stream(MODEL, "Count.", response_format=LONG, max_tokens=900)
                async for _ in stream:
                    begun.set()

            task = asyncio.create_task(read())
            await begun.wait()
            assert await asyncio.to_thread(is_busy, llama_server)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    before = generated(llama_server)
    asyncio.run(run())
    assert stops_soon(llama_server)
    assert generated(llama_server) - before < 300


def test_leaving_after_a_cut_stops_the_slot(proxy: CuttingProxy, llama_server: str) -> None:
    log, before = EventLog(), generated(llama_server)
    proxy.every = 2
    with connect(proxy.url, log) as client:
        stream = client.stream(MODEL, "Count.", response_format=LONG, max_tokens=900)
        while len(reconnections(log)) < 3:
            assert next(stream)
        stream.close()
    assert stops_soon(llama_server)
    assert generated(llama_server) - before < 300


# -- When the server does not go on ------------------------------------------------------------------


def test_a_stream_that_the_server_has_forgotten(proxy: CuttingProxy, llama_server: str) -> None:
    log = EventLog()
    with connect(proxy.url, log) as client:
        stream = client.stream(
            MODEL, "Count.", response_format=LONG, max_tokens=900, failover="stop"
        )
        text = [next(stream).text]
        delete = urllib.request.Request(
            f"{llama_server}/v1/stream?conv_id={proxy.streams[0]}", method="DELETE"
        )
        fetch(delete)
        with pytest.raises(StreamInterrupted, match="does not go on with it") as caught:
            text.extend(delta.text for delta in stream)
    assert caught.value.partial == "".join(text)
    assert stops_soon(llama_server)
    assert not reconnections(log)


def test_a_server_that_is_killed_is_failed_over(
    spawn_llama_server: Callable[[], tuple[subprocess.Popen[str], str]], llama_server: str
) -> None:
    process, url = spawn_llama_server()
    log = EventLog()
    endpoints = {
        "first": {"backend": "llama-cpp", "base_url": url, "resumable": True},
        "second": {"backend": "llama-cpp", "base_url": llama_server, "resumable": True},
    }
    try:
        with Client(
            discover=False,
            plugins=[andon_llama_cpp, log.plugin],
            settings=Settings(endpoints=endpoints),
        ) as client:
            whole = client.chat("second:demo", "Count to 20.", temperature=0)
            stream = client.stream(["first:demo", "second:demo"], "Count to 20.", temperature=0)
            text, modes = "", []
            for number, delta in enumerate(stream):
                text += delta.text
                if delta.failover is not None:
                    modes.append(delta.failover.mode)
                if number == 8:
                    process.kill()
                    process.wait()
    finally:
        process.kill()
        process.communicate()
    assert text == whole.text
    assert modes == ["continue"]
    [failed] = failures(log)
    assert isinstance(failed.error, StreamInterrupted)
    assert "its server does not go on with it" in str(failed.error)
    assert not reconnections(log)
