"""Where spending is kept: what is settled, and what is held for requests under way."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from andon.errors import InvalidRequestError


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
    :raises InvalidRequestError: the amount is none.
    """

    id: str
    amount: int
    charges: tuple[Charge, ...]
    created: float = 0.0
    expires: float = 0.0
    backend: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        check_nano(self.amount)


def check_nano(amount: int) -> None:
    """Check an amount of nano-dollars.

    :raises InvalidRequestError: it is no whole number, or below 0 and would give money back.
    """
    if type(amount) is not int or amount < 0:
        raise InvalidRequestError(f"an amount must be whole nano-dollars from 0 on, not {amount!r}")


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


#: How many settled holds are remembered, to know a step that comes again.
_REMEMBERED = 10_000


class MemoryLedger:
    """A ledger for one process, forgotten at its end. What is settled is kept as sums."""

    waits = False

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], int] = {}
        self._open: dict[str, Hold] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        #: Requests and nano-dollars that were settled, by account, period, backend and model.
        self._spent: dict[tuple[str, str, str, str], tuple[int, int]] = {}
        self._marks: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount; see :meth:`Ledger.reserve`."""
        with self._lock:
            if hold.id in self._open or hold.id in self._settled:
                return Decision()
            used = [
                self._used.get((account, period), 0) + hold.amount
                for account, period, _ in hold.charges
            ]
            refused = refusing(hold, used)
            if refused is None:
                self._open[hold.id] = hold
                self._add(hold, hold.amount)
            return Decision(refused, () if refused else tuple(used))

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold; see :meth:`Ledger.settle`."""
        with self._lock:
            hold = self._open.pop(hold_id, None)
            if hold is None:
                return
            self._settled[hold_id] = None
            if len(self._settled) > _REMEMBERED:
                self._settled.popitem(last=False)
            self._add(hold, amount - hold.amount)
            for account, period, _ in hold.charges:
                key = (account, period, hold.backend, hold.model)
                count, total = self._spent.get(key, (0, 0))
                self._spent[key] = (count + 1, total + amount)

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost; see :meth:`Ledger.balance`."""
        with self._lock:
            held = sum(
                hold.amount
                for hold in self._open.values()
                if hold.expires > now
                for charge in hold.charges
                if charge[:2] == (account, period)
            )
            return Balance(self._used.get((account, period), 0) - held, held)

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account of a period; see :meth:`Ledger.balances`."""
        with self._lock:
            accounts = sorted(account for account, its in self._used if its == period)
        return {account: self.balance(account, period, now) for account in accounts}

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost an account; see :meth:`Ledger.spending`."""
        with self._lock:
            rows = {
                key[1:]: Spending(
                    period=key[1],
                    backend=key[2],
                    model=key[3],
                    requests=count,
                    settled=total,
                    held=0,
                )
                for key, (count, total) in self._spent.items()
                if key[0] == account and key[1] >= first
            }
            for hold in self._open.values():
                for charge in hold.charges:
                    if charge.account == account and charge.period >= first:
                        key = (charge.period, hold.backend, hold.model)
                        rows[key] = _with_hold(rows.get(key), hold, charge.period, now)
        return [rows[key] for key in sorted(rows)]

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


def _with_hold(row: Spending | None, hold: Hold, period: str, now: float) -> Spending:
    """Return what a model cost together with one more open hold."""
    expired = hold.expires <= now
    return Spending(
        period=period,
        backend=hold.backend,
        model=hold.model,
        requests=1 + (row.requests if row else 0),
        settled=(row.settled if row else 0) + (hold.amount if expired else 0),
        held=(row.held if row else 0) + (0 if expired else hold.amount),
    )


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
