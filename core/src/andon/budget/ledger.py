"""Where spending is kept: what is settled, and what is held for requests under way."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Protocol


class Ledger(Protocol):
    """Keeps amounts of nano-dollars by period. Every method is atomic and safe in all threads."""

    def reserve(self, period: str, amount: int, limit: int | None) -> int | None:
        """Hold an amount, unless settled and held together would pass the limit.

        :param period: the period to which the amount belongs, as ``2026-01-31``.
        :param amount: nano-dollars to hold.
        :param limit: nano-dollars that the period may cost, or None for no limit.
        :return: the hold's number, or None where there is no room; nothing is held then.
        """
        ...

    def settle(self, hold: int, amount: int) -> None:
        """Replace a hold by what was really spent. Settling again, or late, changes nothing."""
        ...

    def used(self, period: str) -> int:
        """Return what is settled and held in a period, in nano-dollars."""
        ...


@dataclass(slots=True)
class MemoryLedger:
    """A ledger for one process, forgotten at its end."""

    _used: dict[str, int] = field(default_factory=dict)
    _holds: dict[int, tuple[str, int]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, period: str, amount: int, limit: int | None) -> int | None:
        """Hold an amount; see :meth:`Ledger.reserve`."""
        with self._lock:
            used = self._used.get(period, 0) + amount
            if limit is not None and used > limit:
                return None
            self._used[period] = used
            hold = next(self._numbers)
            self._holds[hold] = (period, amount)
            return hold

    def settle(self, hold: int, amount: int) -> None:
        """Replace a hold; see :meth:`Ledger.settle`."""
        with self._lock:
            period, held = self._holds.pop(hold, ("", 0))
            if period:
                self._used[period] += amount - held

    def used(self, period: str) -> int:
        """Return what is settled and held; see :meth:`Ledger.used`."""
        with self._lock:
            return self._used.get(period, 0)
