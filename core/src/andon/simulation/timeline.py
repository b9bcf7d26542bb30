"""Simulated time: what is to happen when, one thing after the other."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

#: Something that is to happen: when, its turn among those of the same moment, and what. It is
#: called off by taking the last away.
Appointment: TypeAlias = list[Any]


class Timeline:
    """The clock of a simulated world, and all that is to happen in it.

    :param random: draws the order of what happens in the same moment; the order in which it was
        arranged where None.
    """

    __slots__ = ("_heap", "_number", "_random", "now")

    def __init__(self, random: Random | None = None) -> None:
        #: Seconds since the beginning.
        self.now = 0.0
        self._heap: list[Appointment] = []
        self._random = random
        self._number = 0

    def after(self, seconds: float, happen: Callable[[], object]) -> Appointment:
        """Have a function called in so many seconds.

        :param seconds: how many, 0 or more.
        :param happen: what is called.
        :return: what :meth:`call_off` takes.
        """
        return self.at(self.now + seconds, happen)

    def at(self, moment: float, happen: Callable[[], object]) -> Appointment:
        """Have a function called at a moment; see :meth:`after`.

        :param moment: seconds since the beginning; a moment that has passed is now.
        :param happen: what is called.
        """
        self._number += 1
        turn = 0.0 if self._random is None else self._random.random()
        appointment = [max(moment, self.now), turn, self._number, happen]
        heapq.heappush(self._heap, appointment)
        return appointment

    def step(self) -> bool:
        """Go on to what happens next; return False where nothing more does."""
        heap = self._heap
        while heap:
            moment, _, _, happen = heapq.heappop(heap)
            if happen is not None:
                self.now = moment
                happen()
                return True
        return False


def call_off(appointment: Appointment) -> None:
    """Call something off that was to happen.

    :param appointment: what :meth:`Timeline.after` returned.
    """
    appointment[3] = None
