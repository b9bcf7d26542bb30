"""A place in a queue: waiting for one's turn, in a thread or in a task."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turn:
    """A place in a queue.

    Whoever gets no turn (the wait timed out, or was cancelled) must leave the queue by
    :meth:`andon.routing.Admission.leave`.
    """

    __slots__ = ("_come", "_lock", "_wake")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come = False
        self._wake: Callable[[], object] | None = None

    @property
    def come(self) -> bool:
        """Whether the turn has come."""
        return self._come

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread; return whether the turn has come.

        :param timeout: seconds to wait at most, or None for ever.
        """
        event = threading.Event()
        if not self.notify(event.set):
            event.wait(timeout)
        return self._come

    async def await_(self, timeout: float | None = None) -> bool:
        """Wait in this task; see :meth:`wait`."""
        # Imported here, since programs without asyncio would wait for it at their start.
        import asyncio

        loop = asyncio.get_running_loop()
        came: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not came.done():
                came.set_result(None)

        if not self.notify(lambda: loop.call_soon_threadsafe(resolve)):
            await asyncio.wait([came], timeout=timeout)
        return self._come

    def notify(self, wake: Callable[[], object]) -> bool:
        """Have a function called once the turn comes; return True where it has come already.

        :param wake: called in any thread, with locks held: it must return at once.
        """
        with self._lock:
            self._wake = wake
            return self._come

    def give(self) -> bool:
        """Say that the turn has come; return False where nobody is there any more to take it."""
        with self._lock:
            self._come = True
            wake = self._wake
        if wake is not None:
            try:
                wake()
            except RuntimeError:
                # The event loop was closed with the task that waited in it.
                return False
        return True
