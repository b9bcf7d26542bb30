"""Idle connections, kept for the next request. Nothing is sent or closed here."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from andon.wire.http_parser import Target

#: Seconds for which an idle connection is kept.
KEEP_ALIVE = 30.0

#: Seconds after which a server may end an idle connection while the next request is on its way.
#: Servers wait for seconds before they do; one that leaves sooner has another reason.
MAY_HAVE_ENDED = 1.0

C = TypeVar("C")


class IdlePool(Generic[C]):
    """Connections without a request, the last one used first.

    :param most: how many are kept.
    """

    __slots__ = ("_count", "_idle", "_most", "_sweep_at")

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._sweep_at = 0.0
        self._idle: dict[tuple[str, int, bool], deque[tuple[C, float]]] = {}

    def put(self, target: Target, connection: C, now: float) -> list[C]:
        """Keep a connection; return those that there is no room for.

        :param now: seconds of a clock that never goes back.
        """
        if self._most < 1:
            return [connection]
        key = (target.host, target.port, target.tls)
        self._idle.setdefault(key, deque()).append((connection, now))
        self._count += 1
        return [] if self._count <= self._most else [self._oldest()]

    def take(self, target: Target, now: float) -> tuple[C | None, float, list[C]]:
        """Take a connection to a place.

        :return: the connection, or None; for how many seconds it was idle; those that are too old.
        """
        old = self._sweep(now) if now >= self._sweep_at else []
        key = (target.host, target.port, target.tls)
        waiting = self._idle.get(key)
        if waiting is None:
            return None, 0.0, old
        connection, since = waiting.pop()
        self._count -= 1
        if not waiting:
            del self._idle[key]
        if since < now - KEEP_ALIVE:
            # The others are older still.
            self._sweep_at = now
            return None, 0.0, [*old, connection]
        return connection, now - since, old

    def _sweep(self, now: float) -> list[C]:
        """Forget what is too old, whatever place it goes to, and return it."""
        old: list[C] = []
        for key, waiting in list(self._idle.items()):
            while waiting and waiting[0][1] < now - KEEP_ALIVE:
                old.append(waiting.popleft()[0])
            if not waiting:
                del self._idle[key]
        self._count -= len(old)
        self._sweep_at = now + KEEP_ALIVE
        return old

    def clear(self) -> list[C]:
        """Forget all connections, and return them."""
        found = [connection for waiting in self._idle.values() for connection, _ in waiting]
        self._idle.clear()
        self._count = 0
        return found

    def _oldest(self) -> C:
        key = min(self._idle, key=lambda key: self._idle[key][0][1])
        connection = self._idle[key].popleft()[0]
        self._count -= 1
        if not self._idle[key]:
            del self._idle[key]
        return connection
