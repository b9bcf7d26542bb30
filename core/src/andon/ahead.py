"""Streams that run ahead, so that several can be waited for at once; for threads and asyncio."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from andon.chat import ChatDelta

if TYPE_CHECKING:
    import asyncio

#: A piece, or None at the end, or an error.
_Outcome: TypeAlias = tuple[ChatDelta | None, BaseException | None]


class Ahead:
    """A stream whose next piece can be fetched in a thread of its own.

    :param stream: a backend's stream.
    """

    def __init__(self, stream: Iterator[ChatDelta]) -> None:
        self._stream = stream
        self._lock = threading.Condition()
        self._outcome: _Outcome | None = None
        self._fetching = False
        self._closed = False

    def fetch(self, wake: Callable[[], object]) -> None:
        """Begin to fetch the next piece, unless that has begun.

        :param wake: called when it is there.
        """
        with self._lock:
            if self._fetching or self._outcome is not None:
                return
            self._fetching = True
        # A daemon: whoever lost a race must not hold up the end of the program.
        threading.Thread(target=self._fetch, args=(wake,), daemon=True).start()

    def _fetch(self, wake: Callable[[], object]) -> None:
        try:
            outcome: tuple[ChatDelta | None, BaseException | None] = (
                next(self._stream, None),
                None,
            )
        except BaseException as error:  # noqa: BLE001  it is raised where the piece is taken
            outcome = (None, error)
        with self._lock:
            self._outcome, self._fetching = outcome, False
            closed = self._closed
            self._lock.notify_all()
        if closed:
            _close(self._stream)
        wake()

    @property
    def ready(self) -> bool:
        """Whether the next piece is there."""
        return self._outcome is not None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatDelta:
        with self._lock:
            while self._fetching:
                self._lock.wait()
            outcome, self._outcome = self._outcome, None
        if outcome is None:
            return next(self._stream)
        delta, error = outcome
        if error is not None:
            raise error
        if delta is None:
            raise StopIteration
        return delta

    def close(self) -> None:
        """Close the stream; at once, or when a piece that is being fetched is there."""
        with self._lock:
            self._closed = True
            if self._fetching:
                return
        _close(self._stream)


def any_ready(streams: Sequence[Ahead], within: float | None) -> int | None:
    """Wait in this thread until one of several streams has its next piece.

    :param streams: the streams.
    :param within: seconds to wait at most, or None for ever.
    :return: its place among them, or None where the time passed.
    """
    wake = threading.Event()
    for stream in streams:
        stream.fetch(wake.set)
    # A stream that was being fetched already wakes somebody else, so it is looked at as well.
    while not any(stream.ready for stream in streams):
        if not wake.wait(within):
            return None
        wake.clear()
    return next(place for place, stream in enumerate(streams) if stream.ready)


class AsyncAhead:
    """A stream whose next piece can be fetched in a task of its own.

    :param stream: a backend's stream.
    """

    def __init__(self, stream: AsyncIterator[ChatDelta]) -> None:
        self._stream = stream
        self._task: asyncio.Task[ChatDelta | None] | None = None

    def fetch(self) -> asyncio.Task[ChatDelta | None]:
        """Return the task that fetches the next piece."""
        import asyncio

        if self._task is None:
            self._task = asyncio.create_task(_next(self._stream))
        return self._task

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatDelta:
        task, self._task = self._task, None
        if task is None:
            return await self._stream.__anext__()
        try:
            delta = await task
        except BaseException:
            task.cancel()
            raise
        if delta is None:
            raise StopAsyncIteration
        return delta

    async def aclose(self) -> None:
        """Stop what is being fetched, and close the stream."""
        import asyncio

        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
        close: Any = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


async def aany_ready(streams: Sequence[AsyncAhead], within: float | None) -> int | None:
    """Wait in this task until one of several streams has its next piece; see :func:`any_ready`."""
    import asyncio

    tasks = [stream.fetch() for stream in streams]
    done, _ = await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    return next((place for place, task in enumerate(tasks) if task in done), None)


async def _next(stream: AsyncIterator[ChatDelta]) -> ChatDelta | None:
    return await anext(stream, None)


def _close(stream: Any) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
