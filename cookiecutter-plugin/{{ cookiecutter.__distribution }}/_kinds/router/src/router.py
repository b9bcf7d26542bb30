"""The strategy: the candidates in turn, so that each is asked first equally often."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from andon import SettingsError
from andon.routing import Ask, Candidate


@dataclass(frozen=True, slots=True)
class Place:
    """A request that was let in. This strategy counts nothing, so nothing changes when it leaves.

    :param order: whom to ask, in turn.
    """

    order: Sequence[Candidate]
    turn: None = None

    def move(self, candidate: Candidate, now: float) -> None:
        """Take note that the request goes on at another candidate."""

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        """Take note that the request is over; may be called again."""


class TakingTurns:
    """Asks the candidates in turn. Used by many threads and tasks at once.

    :param most: how many candidates are asked for one request at most; all where None.
    """

    waits = False
    weighs = False

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._next = 0
        self._lock = threading.Lock()

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Place:
        """Decide where a request goes; those at rest come last."""
        with self._lock:
            first = self._next
            self._next += 1
        well = [candidate for candidate in candidates if candidate.healthy]
        begin = first % len(well) if well else 0
        resting = [candidate for candidate in candidates if not candidate.healthy]
        return Place([*well[begin:], *well[:begin], *resting][: self._most])


def create(options: Mapping[str, Any]) -> TakingTurns:
    """Make the router from its settings.

    :param options: what stands under ``[routing]``, but for ``strategy``.
    :raises SettingsError: a setting is wrong or unknown.
    """
    unknown = sorted(set(options) - {"most"})
    if unknown:
        raise SettingsError(f"routing.{unknown[0]}: no such option; there is most")
    most = options.get("most")
    if most is not None and (type(most) is not int or most < 1):
        raise SettingsError(f"routing.most: a whole number from 1 on, not {most!r}")
    return TakingTurns(most)
