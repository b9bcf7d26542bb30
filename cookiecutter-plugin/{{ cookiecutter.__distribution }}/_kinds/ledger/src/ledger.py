"""The ledger: what is settled, and what is held for requests under way, in nano-dollars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.budget import Balance, Decision, Hold, Spending

from {{ cookiecutter.__package }}.store import Store


class StoreLedger:
    """A ledger over a store. Every method is one transaction.

    :param store: where the state is kept.
    """

    #: A method may wait for a disk, so an event loop asks in a thread.
    waits = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount, unless it would pass a limit; the same hold again changes nothing."""
        with self._store.transaction() as state:
            if hold.id in state["holds"]:
                return Decision()
            used = []
            for account, period, limit in hold.charges:
                there = sum(_counted(row) for row in _at(state, account, period))
                used.append(there + hold.amount)
                if limit is not None and hold.amount and used[-1] > limit:
                    return Decision(account)
            state["holds"][hold.id] = {
                "amount": hold.amount,
                "settled": None,
                "expires": hold.expires,
                "charges": [[account, period] for account, period, _ in hold.charges],
                "backend": hold.backend,
                "model": hold.model,
            }
            return Decision(None, tuple(used))

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold by what was really spent; the first settlement counts."""
        with self._store.transaction() as state:
            row = state["holds"].get(hold_id)
            if row is not None and row["settled"] is None:
                row["settled"] = amount

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost."""
        with self._store.transaction() as state:
            return _balance(_at(state, account, period), now)

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account of a period, by the account's name."""
        with self._store.transaction() as state:
            charges = [charge for row in state["holds"].values() for charge in row["charges"]]
            accounts = sorted({account for account, day in charges if day == period})
            return {name: _balance(_at(state, name, period), now) for name in accounts}

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost an account, by period, from the period ``first`` on."""
        groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        with self._store.transaction() as state:
            for row in state["holds"].values():
                for name, period in row["charges"]:
                    if name == account and period >= first:
                        key = (period, row["backend"], row["model"])
                        groups.setdefault(key, []).append(row)
        return [_spending(key, rows, now) for key, rows in sorted(groups.items())]

    def mark(self, account: str, period: str, mark: str) -> bool:
        """Set a mark at an account's period; return whether it was not set before."""
        with self._store.transaction() as state:
            new = [account, period, mark] not in state["marks"]
            if new:
                state["marks"].append([account, period, mark])
            return new

    def close(self) -> None:
        """Free what the ledger holds open: nothing."""


def _at(state: dict[str, Any], account: str, period: str) -> Iterator[dict[str, Any]]:
    return (row for row in state["holds"].values() if [account, period] in row["charges"])


def _counted(row: dict[str, Any]) -> int:
    """Return what counts against a limit: what was settled, or what is held."""
    settled = row["settled"]
    return int(row["amount"] if settled is None else settled)


def _balance(rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]], now: float) -> Balance:
    settled = held = 0
    for row in rows:
        # Whoever died with a hold may have spent it.
        if row["settled"] is None and row["expires"] > now:
            held += row["amount"]
        else:
            settled += _counted(row)
    return Balance(settled, held)


def _spending(key: tuple[str, str, str], rows: list[dict[str, Any]], now: float) -> Spending:
    period, backend, model = key
    balance = _balance(rows, now)
    return Spending(
        period=period,
        backend=backend,
        model=model,
        requests=len(rows),
        settled=balance.settled,
        held=balance.held,
    )
