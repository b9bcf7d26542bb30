"""Two threads of a process that talk to the server, so that nobody else has to wait for it."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import redis

#: Seconds to wait for the server, and to go without it before it is asked again.
TIMEOUT = 2.0
REST = 5.0


class Employer(Protocol):
    """Whom a clerk works for. Each method is called in a thread of the clerk's."""

    def pass_on(self, items: Sequence[Any]) -> None:
        """Tell the server what was left with the clerk, in that order."""
        ...

    def look_after(self) -> None:
        """Do what has to be done from time to time."""
        ...

    def hear(self, data: str) -> None:
        """Take note of what was published."""
        ...

    def join_again(self) -> None:
        """Find out what was published while the server could not be heard."""
        ...


class Clerk:
    """Hears what is published, and passes on what must not block.

    It knows its employer by a weak reference, and ends with it.

    :param employer: whom it works for.
    :param server: a client of the server.
    :param channel: what it listens to. At once: what is published before nobody hears.
    :param every: seconds from one look after things to the next.
    :raises redis.RedisError: the server cannot be reached.
    """

    def __init__(self, employer: Employer, server: Any, channel: str, every: float) -> None:
        self._employer = weakref.ref(employer)
        self._every = every
        self._left: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._published = server.pubsub(ignore_subscribe_messages=True)
        self._published.subscribe(channel)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"andon-redis {work.__name__}", daemon=True)
            for work in (self._work, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def leave(self, item: Any) -> None:
        """Have something passed on soon; never blocks, not even while memory is collected.

        :param item: anything but None.
        """
        self._left.put(item)

    def stop(self) -> None:
        """Pass on what was left, and end."""
        self._left.put(None)
        self._threads[0].join(2 * TIMEOUT)
        self._ended.set()
        self._threads[1].join(2 * TIMEOUT)
        self._published.close()

    def _work(self) -> None:
        due = time.monotonic() + self._every
        while True:
            items = self._take(max(0.0, min(1.0, due - time.monotonic())))
            employer = self._employer()
            if employer is None:
                return
            wanted = [item for item in items if item is not None]
            if wanted:
                employer.pass_on(wanted)
            if len(wanted) < len(items):
                return
            if time.monotonic() >= due:
                due = time.monotonic() + self._every
                employer.look_after()

    def _take(self, seconds: float) -> list[Any]:
        """Return all that was left, or nothing after a while."""
        items: list[Any] = []
        with suppress(queue.Empty):
            items.append(self._left.get(timeout=seconds))
            while True:
                items.append(self._left.get_nowait())
        return items

    def _listen(self) -> None:
        lost = False
        while not self._ended.is_set() and self._employer() is not None:
            try:
                message = self._published.get_message(timeout=0.5)
            except (redis.RedisError, OSError):
                lost = True
                self._ended.wait(REST)
                continue
            employer = self._employer()
            if employer is None:
                return
            if lost:
                lost = False
                employer.join_again()
            if message is not None:
                employer.hear(message["data"])
