"""What tests of the corridor share."""

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest

from andon import AndonError, AsyncClient, ChatDelta, ChatResponse, Client


class Both:
    """Asks through both clients, and insists that they agree."""

    def __init__(self, *plugins: ModuleType, **arguments: Any) -> None:
        self.sync = Client(discover=False, plugins=plugins, **arguments)
        self.plain = AsyncClient(discover=False, plugins=plugins, **arguments)

    def chat(self, model: Any, messages: Any = "hi", **options: Any) -> ChatResponse:
        return self._agree(
            lambda: self.sync.chat(model, messages, **options),
            lambda: self.plain.chat(model, messages, **options),
        )

    def stream(self, model: Any, messages: Any = "hi", **options: Any) -> list[ChatDelta]:
        def read() -> list[ChatDelta]:
            return list(self.sync.stream(model, messages, **options))

        async def aread() -> list[ChatDelta]:
            return [piece async for piece in self.plain.stream(model, messages, **options)]

        return self._agree(read, aread)

    def _agree(self, ask: Callable[[], Any], aask: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await aask()

        first, second = _outcome(ask), _outcome(lambda: asyncio.run(run()))
        if isinstance(first, AndonError):
            assert (type(first), str(first)) == (type(second), str(second))
            raise first
        assert repr(first) == repr(second)  # errors compare by identity
        return first


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AndonError as error:
        return error


@pytest.fixture
def both() -> type[Both]:
    """Return what asks through both clients; made of plugins and a client's arguments."""
    return Both
