"""Both colours of the client behind one face, so that each test is written once.

The face is that of :class:`andon.AsyncClient`. The threads' client wears it as well: its
coroutines never wait, so they are run without an event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from andon import (
    AsyncClient,
    ChatDelta,
    ChatResponse,
    Client,
    FailoverMode,
    FailoverPolicy,
    ModelCard,
    ResponseStream,
    TokenCount,
)
from andon.messages import Messages

T = TypeVar("T")


class Caller:
    """A client of one colour, and what runs its coroutines.

    :param colour: ``"sync"`` or ``"async"``.

    Further keyword arguments are the client's.
    """

    def __init__(self, colour: str, **arguments: Any) -> None:
        self.colour = colour
        #: The client, with the face of :class:`andon.AsyncClient`.
        self.client: Any
        self._runner: asyncio.Runner | None = None
        # What a backend does is to be seen, and not what the client makes of it.
        arguments.setdefault("failover", FailoverPolicy(mode=FailoverMode.STOP))
        if colour == "sync":
            self.client = _Awaitable(Client(**arguments))
        else:
            self.client = AsyncClient(**arguments)
            self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work on the client, and return its result."""
        return _run_at_once(work) if self._runner is None else self._runner.run(work)

    def close(self) -> None:
        """Close the client."""
        self.run(self.client.aclose())
        if self._runner is not None:
            self._runner.close()


class _Awaitable:
    """The threads' client with the face of the other."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def chat(self, model: str, messages: Messages, **options: Any) -> ChatResponse:
        return self._client.chat(model, messages, **options)

    async def complete(self, model: str, prompt: str, **options: Any) -> ChatResponse:
        return self._client.complete(model, prompt, **options)

    def stream(
        self, model: str, messages: Messages | None = None, **options: Any
    ) -> _AwaitableStream:
        return _AwaitableStream(self._client.stream(model, messages, **options))

    async def list_models(self, backend: str) -> Sequence[ModelCard]:
        return self._client.list_models(backend)

    async def check_health(self, backend: str) -> None:
        self._client.check_health(backend)

    async def count_tokens(self, model: str, messages: Messages, **options: Any) -> TokenCount:
        return self._client.count_tokens(model, messages, **options)

    async def aclose(self) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return repr(self._client)


class _AwaitableStream:
    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream

    def __aiter__(self) -> _AwaitableStream:
        return self

    async def __anext__(self) -> ChatDelta:
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    @property
    def response(self) -> ChatResponse:
        return self._stream.response

    async def aclose(self) -> None:
        self._stream.close()


def _run_at_once(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("work on the threads' client waits for an event loop")
