"""Who is next in a queue: priorities that grow with the wait, and fair shares for each key.

Waiting for ``aging`` seconds is worth one step of priority. So nobody waits behind a lower
priority that came later, and nobody waits for ever: after difference × ``aging`` seconds a request
is ahead of every higher one that comes then. Within a priority the keys share by fair queueing:
each request is tagged with the time at which it would begin if every key were served at the same
rate, and the lowest tag goes first (Goyal, Vin and Cheng, "Start-time Fair Queueing", 1996). That
time goes on with every request served, so that no stream of new keys holds up an old one for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

#: Shares remembered of keys that may have nothing in the queue; beyond, those are forgotten that
#: make no difference.
MOST_KEYS = 256


@dataclass(slots=True, eq=False)
class Place:
    """One request in a queue.

    :param priority: the higher goes first.
    :param key: who asks.
    :param weight: its size, in typical requests.
    :param since: when it came.
    :param tag: its turn among the keys.
    """

    priority: int
    key: str
    weight: float
    since: float
    tag: float = 0.0
    number: int = 0


class WaitingLine:
    """A queue.

    :param aging: seconds of waiting that are worth one step of priority.
    """

    __slots__ = ("_aging", "_numbers", "_rows", "_shares", "_size", "_time", "backlog")

    def __init__(self, aging: float) -> None:
        self._aging = aging
        # Of one priority and one key, whoever came first goes first: only the heads compete.
        self._rows: dict[tuple[int, str], deque[Place]] = {}
        self._shares: dict[str, float] = {}
        self._time = 0.0
        self._size = 0
        self._numbers = count(1)
        #: The weights of all who wait.
        self.backlog = 0.0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Place]:
        for row in self._rows.values():
            yield from row

    def note(self, key: str, weight: float) -> None:
        """Take note of a request that was served without waiting; it is part of its key's share."""
        self._go_on(self._tag(key, weight), weight)

    def add(self, place: Place) -> None:
        """Put a request in."""
        place.tag = self._tag(place.key, place.weight)
        place.number = next(self._numbers)
        self._rows.setdefault((place.priority, place.key), deque()).append(place)
        self._size += 1
        self.backlog += place.weight

    def pop(self, now: float) -> Place:
        """Take out who is next. The queue must not be empty."""
        heads = [row[0] for row in self._rows.values()]
        first = heads[0] if len(heads) == 1 else self._next(heads, now)
        self._go_on(first.tag, first.weight)
        self.remove(first)
        return first

    def remove(self, place: Place) -> None:
        """Take a request out."""
        row = self._rows[place.priority, place.key]
        row.remove(place)
        if not row:
            del self._rows[place.priority, place.key]
        self._size -= 1
        # No rounding error outlives the queue.
        self.backlog = self.backlog - place.weight if self._size else 0.0

    def waiting_for(self, key: str) -> int:
        """Return how many of a key are waiting."""
        return sum(len(row) for (_, its_key), row in self._rows.items() if its_key == key)

    def _next(self, heads: list[Place], now: float) -> Place:
        oldest: dict[int, Place] = {}
        for head in heads:
            known = oldest.get(head.priority)
            if known is None or head.since < known.since:
                oldest[head.priority] = head
        first = max(
            oldest.values(),
            key=lambda one: (one.priority + int((now - one.since) / self._aging), -one.priority),
        )
        if first.priority < max(oldest):
            # Its age has brought it ahead of higher ones; that is worth nothing to others.
            return first
        return min(
            (head for head in heads if head.priority == first.priority),
            key=lambda one: (one.tag, one.number),
        )

    def _go_on(self, tag: float, weight: float) -> None:
        self._time = max(self._time, tag) + weight / (len(self._rows) + 1)

    def _tag(self, key: str, weight: float) -> float:
        if len(self._shares) > MOST_KEYS:
            self._shares = {name: end for name, end in self._shares.items() if end > self._time}
        tag = max(self._time, self._shares.get(key, 0.0))
        self._shares[key] = tag + weight
        return tag
