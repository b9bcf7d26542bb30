"""Hands items from a worker thread to an event loop, in order, with bounded memory."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")

#: Items that may wait for a slow reader before the worker pauses.
LIMIT = 256


class Relay(Generic[Item]):
    """A queue with a thread at one end and a task at the other.

    :param loop: the event loop of the task.
    :param limit: how many items may wait before the worker pauses.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = LIMIT) -> None:
        self._loop = loop
        self._limit = limit
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()
        self._announced = False
        self._room = threading.Event()
        self._done = False
        self._error: BaseException | None = None
        #: Whether nobody reads any more; the worker stops before its next item.
        self.cancelled = False

    def run(self, items: Iterator[Item]) -> None:
        """Pass on all items, in the worker's thread; an error is raised by :meth:`take`."""
        try:
            for item in items:
                self._put(item)
                if self.cancelled:
                    break
        except BaseException as error:  # noqa: BLE001 raised again where it is read
            self._error = error
        finally:
            self._close(items)
            self._done = True
            # A loop that is closed has no readers left to tell.
            with suppress(RuntimeError):
                self._announce()

    async def take(self) -> list[Item]:
        """Wait for items; return all that are there, or none when the last was taken."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            self._announced = False
            done = self._done
            batch = [self._items.popleft() for _ in range(len(self._items))]
            self._room.set()
            if batch or done:
                break
        if done:
            self._ready.set()
        if not batch and self._error is not None:
            raise self._error
        return batch

    def cancel(self) -> None:
        """Stop the worker before its next item."""
        self.cancelled = True
        self._room.set()

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._announce()
        if len(self._items) >= self._limit:
            self._room.clear()
            # Asked again, as the reader may have made room before the flag was cleared.
            if len(self._items) >= self._limit and not self.cancelled:
                self._room.wait()

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._loop.call_soon_threadsafe(self._ready.set)

    def _close(self, items: Iterator[Item]) -> None:
        close = getattr(items, "close", None)
        if close is not None:
            close()
