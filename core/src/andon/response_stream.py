"""Answers that arrive piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Self, TypeAlias

from andon.chat import ChatDelta, ChatResponse
from andon.errors import InvalidRequestError

#: Takes the whole answer when it is complete.
Finish: TypeAlias = Callable[[ChatResponse], None]


class ResponseStream(Iterator[ChatDelta]):
    """An answer that arrives piece by piece; made by :meth:`Client.stream`.

    Iterate over it, or use it in a ``with`` statement, which closes it. Closing it stops the
    backend at once.
    """

    def __init__(self, walk: Callable[[Finish], Generator[ChatDelta, None, None]]) -> None:
        self._response: ChatResponse | None = None
        self._pieces = walk(self._finish)

    def _finish(self, response: ChatResponse) -> None:
        self._response = response

    def __iter__(self) -> ResponseStream:
        return self

    def __next__(self) -> ChatDelta:
        return next(self._pieces)

    @property
    def response(self) -> ChatResponse:
        """The whole answer, once every piece has arrived.

        :raises InvalidRequestError: it has not.
        """
        return _finished(self._response)

    def close(self) -> None:
        """Stop the answer, and free what it uses."""
        self._pieces.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncResponseStream(AsyncIterator[ChatDelta]):
    """An answer that arrives piece by piece; made by :meth:`AsyncClient.stream`.

    Iterate over it, or use it in an ``async with`` statement, which closes it. Closing it stops
    the backend at once.
    """

    def __init__(self, walk: Callable[[Finish], AsyncGenerator[ChatDelta, None]]) -> None:
        self._response: ChatResponse | None = None
        self._pieces = walk(self._finish)

    def _finish(self, response: ChatResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncResponseStream:
        return self

    async def __anext__(self) -> ChatDelta:
        return await anext(self._pieces)

    @property
    def response(self) -> ChatResponse:
        """The whole answer, once every piece has arrived.

        :raises InvalidRequestError: it has not.
        """
        return _finished(self._response)

    async def aclose(self) -> None:
        """Stop the answer, and free what it uses."""
        await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _finished(response: ChatResponse | None) -> ChatResponse:
    if response is None:
        raise InvalidRequestError("the answer is not complete yet; read the stream to its end")
    return response
