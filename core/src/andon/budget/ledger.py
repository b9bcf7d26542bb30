"""Where spending is kept: what is settled, and what is held for requests under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

_Key = TypeVar("_Key", bound="str | tuple[str, str, str]")


class Charge(NamedTuple):
    """One budget that a request falls under.

    :param account: the budget's name, with the key's, user's or model's name where each of them
        has a budget of its own: ``daily``, ``per-user/ada``.
    :param period: the day, month or other period that pays, as ``2026-01-31`` or ``2026-01``.
    :param limit: nano-dollars that the period may cost, or None for no limit.
    """

    account: str
    period: str
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An amount to hold for a request.

    :param id: its name, unique for all time.
    :param amount: nano-dollars.
    :param charges: the budgets that pay, all of them the whole amount.
    :param created: when, in seconds since 1970.
    :param expires: when whoever holds it must be taken for dead, in seconds since 1970. The amount
        then counts as spent, until a late settlement corrects it.
    :param backend: which backend is asked.
    :param model: the model's name there.
    """

    id: str
    amount: int
    charges: tuple[Charge, ...]
    created: float = 0.0
    expires: float = 0.0
    backend: str = ""
    model: str = ""


class Decision(NamedTuple):
    """What became of a hold.

    :param refused: the account that has no room for it, or None where it is held.
    :param used: what each of the hold's charges has used with it, in nano-dollars; empty where
        nothing was held anew.
    """

    refused: str | None = None
    used: tuple[int, ...] = ()


class Balance(NamedTuple):
    """What a budget's period has cost so far, in nano-dollars.

    :param settled: what was spent, expired holds included.
    :param held: what is held for requests under way.
    """

    settled: int
    held: int

    @property
    def used(self) -> int:
        """Both together: what counts against the limit."""
        return self.settled + self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one model cost in one period.

    :param period: the period, as in :class:`Charge`.
    :param backend: the backend's name.
    :param model: the model's name there.
    :param requests: how many requests.
    :param settled: nano-dollars that were spent, expired holds included.
    :param held: nano-dollars that are held.
    """

    period: str
    backend: str
    model: str
    requests: int
    settled: int
    held: int


class Ledger(Protocol):
    """Keeps amounts of nano-dollars. Every method is atomic, in all threads and processes.

    Each raises :class:`andon.LedgerError` where the ledger cannot be reached.
    """

    @property
    def waits(self) -> bool:
        """Whether a method may wait for a disk or a network, and so must not run in a loop."""
        ...

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount, unless settled and held together would pass a limit.

        Reserving the same hold again changes nothing. Where one account has no room, nothing is
        held at any.
        """
        ...

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold by what was really spent. Settling it again changes nothing.

        :param hold_id: the hold; one that is unknown is passed over.
        :param amount: nano-dollars; more than was held is kept in full.
        """
        ...

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost.

        :param now: seconds since 1970, to tell holds under way from expired ones.
        """
        ...

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account of a period, by the account's name."""
        ...

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost an account, by period, from the period ``first`` on."""
        ...

    def mark(self, account: str, period: str, mark: str) -> bool:
        """Set a mark at an account's period; return whether it was not set before."""
        ...

    def close(self) -> None:
        """Free what the ledger holds open."""
        ...


@dataclass(slots=True)
class _Entry:
    hold: Hold
    settled: int | None = None

    def cost(self, now: float) -> Balance:
        if self.settled is not None:
            return Balance(self.settled, 0)
        expired = self.hold.expires <= now
        return Balance(self.hold.amount, 0) if expired else Balance(0, self.hold.amount)


@dataclass(slots=True)
class MemoryLedger:
    """A ledger for one process, forgotten at its end."""

    waits: bool = False
    _used: dict[tuple[str, str], int] = field(default_factory=dict)
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _marks: set[tuple[str, str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount; see :meth:`Ledger.reserve`."""
        with self._lock:
            if hold.id in self._entries:
                return Decision()
            used = [
                self._used.get((account, period), 0) + hold.amount
                for account, period, _ in hold.charges
            ]
            refused = refusing(hold, used)
            if refused is None:
                self._entries[hold.id] = _Entry(hold)
                self._add(hold, hold.amount)
            return Decision(refused, () if refused else tuple(used))

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold; see :meth:`Ledger.settle`."""
        with self._lock:
            entry = self._entries.get(hold_id)
            if entry is None or entry.settled is not None:
                return
            entry.settled = amount
            self._add(entry.hold, amount - entry.hold.amount)

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost; see :meth:`Ledger.balance`."""
        return self.balances(period, now).get(account, Balance(0, 0))

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account of a period; see :meth:`Ledger.balances`."""
        with self._lock:
            charged = [
                (charge.account, entry.cost(now))
                for entry in self._entries.values()
                for charge in entry.hold.charges
                if charge.period == period
            ]
        return _sums(charged)

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost an account; see :meth:`Ledger.spending`."""
        with self._lock:
            rows = [
                ((charge.period, entry.hold.backend, entry.hold.model), entry.cost(now))
                for entry in self._entries.values()
                for charge in entry.hold.charges
                if charge.account == account and charge.period >= first
            ]
        return as_spending(rows)

    def mark(self, account: str, period: str, mark: str) -> bool:
        """Set a mark; see :meth:`Ledger.mark`."""
        with self._lock:
            new = (account, period, mark) not in self._marks
            self._marks.add((account, period, mark))
            return new

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def _add(self, hold: Hold, amount: int) -> None:
        for account, period, _ in hold.charges:
            key = (account, period)
            self._used[key] = self._used.get(key, 0) + amount


def refusing(hold: Hold, used: Sequence[int]) -> str | None:
    """Return the first account that has no room for a hold, or None.

    :param hold: what is to be held.
    :param used: what each of its charges would have used with it, in nano-dollars.
    """
    for (account, _, limit), total in zip(hold.charges, used, strict=True):
        # What costs nothing is never refused, not even by a budget that was overdrawn.
        if limit is not None and total > limit and hold.amount > 0:
            return account
    return None


def as_spending(rows: Iterable[tuple[tuple[str, str, str], Balance]]) -> Sequence[Spending]:
    """Return rows of (period, backend, model) and balance summed up, in order."""
    rows = list(rows)
    counts: dict[tuple[str, str, str], int] = {}
    for key, _ in rows:
        counts[key] = counts.get(key, 0) + 1
    return [
        Spending(
            period=period,
            backend=backend,
            model=model,
            requests=counts[period, backend, model],
            settled=balance.settled,
            held=balance.held,
        )
        for (period, backend, model), balance in sorted(_sums(rows).items())
    ]


def _sums(rows: Iterable[tuple[_Key, Balance]]) -> dict[_Key, Balance]:
    sums: dict[_Key, Balance] = {}
    for key, (settled, held) in rows:
        before = sums.get(key, Balance(0, 0))
        sums[key] = Balance(before.settled + settled, before.held + held)
    return sums
