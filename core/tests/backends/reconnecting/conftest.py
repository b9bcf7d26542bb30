"""Servers that keep a stream when its connection breaks, and callers of both colours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatDelta, ChatRequest
from andon.messages import ChatMessage
from andon.specs import BackendContext, Locality
from andon.testing.keeping import KeptBytes, KeptEvents, KeptStream
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import Peer, ScriptedServer, cut
from andon.wire.dialect import Dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OpenAIChat
from andon.wire.openai_quirks import LLAMA_SERVER
from andon.wire.openai_responses import OpenAIResponses
from andon.wire.retry import RetryPolicy

ENDPOINT = EndpointSpec(base_url="https://somewhere.example/v1", locality=Locality.PUBLIC)
HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=True)

#: What a llama-server of October 2026 sent for four tokens.
LLAMA = (Path(__file__).parent / "data/llama_server_stream.txt").read_bytes()
RESPONSES = OpenAIResponsesProvider(background=True).stream(SampleAnswer(text=("The", " capital")))
EVENTS = (*RESPONSES.events, RESPONSES.end)


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of server, and the stream that it keeps: an answer that begins with "The capital".

    :param name: its name.
    :param dialect: what asks it.
    :param body: the bytes of the stream.
    :param first: from where it can be gone on with: a response tells its id with its first event.
    :param end: where the answer is complete.
    :param stop: the call that stops the server.
    :param least: bytes that bring the stream on wherever they begin.
    """

    name: str
    dialect: Dialect
    body: bytes
    first: int
    end: int
    stop: str
    least: int

    @property
    def counts_bytes(self) -> bool:
        """Whether it counts bytes, and not events."""
        return self.name == "llama-server"

    @property
    def amid(self) -> int:
        """A place amid the event of the second token."""
        return self.body.index(b'" capital"')

    def keeper(self, breaks: Sequence[int] = (), how: Callable[[Peer], None] = cut) -> KeptStream:
        """Return what plays it; see :class:`KeptStream`."""
        if self.counts_bytes:
            return KeptBytes(self.body, breaks, how)
        return KeptEvents(EVENTS, breaks, how)

    def make(self, server: ScriptedServer, *, pause: float = 0, **options: Any) -> HTTPBackend:
        """Return a backend that asks it."""
        context = BackendContext(options={"base_url": f"{server.url}/v1", **options})
        retry = RetryPolicy(max_retries=2, base=pause, chance=lambda: 1.0)
        return HTTPBackend("some", ENDPOINT, self.dialect, context, retry=retry)


BYTES = Kept(
    "llama-server",
    OpenAIChat(LLAMA_SERVER, resumable=True),
    LLAMA,
    first=0,
    end=LLAMA.index(b"data: [DONE]"),
    stop="DELETE /v1/stream",
    least=300,
)
NUMBERED = Kept(
    "responses",
    OpenAIResponses(resumable=True),
    b"".join(EVENTS),
    first=len(EVENTS[0]),
    end=sum(map(len, EVENTS)),
    stop="POST /v1/responses/resp_sample/cancel",
    least=max(map(len, EVENTS)) + 1,
)


@pytest.fixture
def kept_bytes() -> Kept:
    """A llama-server."""
    return BYTES


@pytest.fixture
def kept_events() -> Kept:
    """OpenAI's Responses in the background."""
    return NUMBERED


@pytest.fixture(params=[BYTES, NUMBERED], ids=lambda kept: kept.name)
def kept(request: pytest.FixtureRequest) -> Any:
    """Each of the two."""
    return request.param


class Threads:
    """Asks in this thread."""

    def __init__(self, backend: HTTPBackend) -> None:
        self.backend = backend

    def ask(self, request: ChatRequest = HELLO, timeout: float | None = 30, most: int = 999) -> Any:
        stream: Generator[ChatDelta, None, None] = self.backend.stream(request, timeout)
        try:
            return list(islice(stream, most))
        finally:
            stream.close()

    def close(self) -> None:
        self.backend.close()


class Tasks:
    """Asks in a task, of one event loop."""

    def __init__(self, backend: HTTPBackend) -> None:
        self.backend = backend
        self.loop = asyncio.new_event_loop()

    def ask(self, request: ChatRequest = HELLO, timeout: float | None = 30, most: int = 999) -> Any:
        async def run() -> list[ChatDelta]:
            stream: AsyncGenerator[ChatDelta, None] = self.backend.astream(request, timeout)
            deltas: list[ChatDelta] = []
            try:
                async for delta in stream:
                    deltas.append(delta)
                    if len(deltas) == most:
                        break
            finally:
                await stream.aclose()
            return deltas

        return self.loop.run_until_complete(run())

    def close(self) -> None:
        self.loop.run_until_complete(self.backend.aclose())
        # What was aborted ends in the loop's next turn.
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


@pytest.fixture(params=[Threads, Tasks], ids=["sync", "async"])
def asking(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes what asks a backend, and closes it."""
    made: list[Any] = []

    def make_one(kept: Kept, server: ScriptedServer, **options: Any) -> Any:
        made.append(request.param(kept.make(server, **options)))
        return made[-1]

    yield make_one
    for one in made:
        one.close()
