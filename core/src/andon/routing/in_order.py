"""The simplest strategy: the caller's own order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from andon.health import HealthBoard
from andon.routing.contract import Admission, Ask, Candidate

if TYPE_CHECKING:
    from andon.routing.load import LoadStore


@dataclass(slots=True)
class _Uncounted:
    """A request that is counted nowhere."""

    order: Sequence[Candidate]
    turn: None = None

    def move(self, candidate: Candidate, now: float) -> None:
        """Do nothing."""

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        """Do nothing."""


class InOrder:
    """Asks the candidates in the caller's order of preference, those at rest last.

    It counts nothing; of what others share it takes part in the health of endpoints only.

    :param store: what is shared with other processes, if anything is.
    """

    waits = False
    weighs = False

    def __init__(self, store: LoadStore | None = None) -> None:
        self._store = store
        self.health: HealthBoard | None = None if store is None else store.health

    def close(self) -> None:
        """Let go of what the store holds open."""
        if self._store is not None:
            self._store.close()

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        """Let every request in; see :meth:`andon.routing.Router.admit`."""
        return _Uncounted(healthy_first(candidates))


def healthy_first(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return the candidates in their order, those at rest behind the others."""
    if all(candidate.healthy for candidate in candidates):
        return candidates
    return sorted(candidates, key=lambda candidate: not candidate.healthy)
