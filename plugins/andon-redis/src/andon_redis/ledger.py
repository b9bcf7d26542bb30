"""A ledger in Redis or Valkey."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from andon.budget import Balance, Decision, Hold, Spending
from andon.errors import LedgerError
from andon_redis.address import connect
from andon_redis.scripts import RESERVE, SETTLE

#: Seconds to wait for the server.
TIMEOUT = 5.0

#: Seconds for which a single request is kept, to know a settlement that comes again or late.
KEEP_SECONDS = 40 * 24 * 3600

_HELP = "spending would not be counted, so nothing was sent"


class RedisLedger:
    """A ledger in Redis or Valkey, for any number of machines.

    Every step is one script on the server. All keys share one hash tag, so that a cluster keeps
    them together. What is as safe as your server's own persistence: with ``appendonly yes`` a
    restart loses a second at most.

    :param url: ``redis://host:6379/0``, with ``rediss:`` for TLS; ``?prefix=`` names the keys, so
        that several ledgers can share a server.
    :raises SettingsError: it is no such URL.
    """

    waits = True

    def __init__(self, url: str) -> None:
        self._server, self._prefix, self._shown = connect(url, "ledger", TIMEOUT)
        self._reserve = self._server.register_script(RESERVE)
        self._settle = self._server.register_script(SETTLE)

    def __repr__(self) -> str:
        return f"RedisLedger({self._shown!r})"

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount; see :meth:`andon.budget.Ledger.reserve`."""
        charges = [(charge.account, charge.period) for charge in hold.charges]
        limits = (limit for *_, limit in hold.charges)
        arguments: list[Any] = [
            hold.id,
            hold.amount,
            hold.created,
            hold.expires,
            json.dumps([hold.backend, hold.model]),
            json.dumps(charges),
            KEEP_SECONDS,
        ]
        for (account, period), limit in zip(charges, limits, strict=True):
            arguments += [_field(account, period), "" if limit is None else limit]
        with self._failing():
            state, *rest = self._reserve(keys=self._keys(hold.id, charges), args=arguments)
        if state == 0:
            return Decision()
        if state < 0:
            return Decision(hold.charges[rest[0] - 1].account)
        return Decision(None, tuple(rest))

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold; see :meth:`andon.budget.Ledger.settle`."""
        with self._failing():
            known = self._server.hget(self._hold_key(hold_id), "charges")
            if known is None:
                return
            charges = [(account, period) for account, period in json.loads(known)]
            self._settle(
                keys=self._keys(hold_id, charges),
                args=[hold_id, amount, *(_field(*charge) for charge in charges)],
            )

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost; see :meth:`andon.budget.Ledger.balance`."""
        with self._failing():
            used = int(self._server.hget(self._used_key, _field(account, period)) or 0)
            held = sum(amount for _, amount in self._open_holds(account, period, now))
            return Balance(used - held, held)

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account; see :meth:`andon.budget.Ledger.balances`."""
        with self._failing():
            fields = [json.loads(name) for name in self._server.hkeys(self._used_key)]
        accounts = sorted(account for account, its_period in fields if its_period == period)
        return {account: self.balance(account, period, now) for account in accounts}

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost; see :meth:`andon.budget.Ledger.spending`."""
        with self._failing():
            fields = [json.loads(name) for name in self._server.hkeys(self._used_key)]
            periods = sorted(
                period for name, period in fields if name == account and period >= first
            )
            return [row for period in periods for row in self._spending(account, period, now)]

    def mark(self, account: str, period: str, mark: str) -> bool:
        """Set a mark; see :meth:`andon.budget.Ledger.mark`."""
        with self._failing():
            key = f"{self._prefix}marks"
            return bool(self._server.hsetnx(key, json.dumps([account, period, mark]), 1))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _spending(self, account: str, period: str, now: float) -> Iterator[Spending]:
        rows = self._server.hgetall(self._spent_key(account, period))
        held: dict[str, int] = {}
        for label, amount in self._open_holds(account, period, now):
            held[label] = held.get(label, 0) + amount
        for label in sorted(name[1:] for name in rows if name.startswith("n")):
            backend, model = json.loads(label)
            yield Spending(
                period=period,
                backend=backend,
                model=model,
                requests=int(rows[f"n{label}"]),
                settled=int(rows[f"u{label}"]) - held.get(label, 0),
                held=held.get(label, 0),
            )

    def _open_holds(self, account: str, period: str, now: float) -> Sequence[tuple[str, int]]:
        """Return label and amount of every hold that is neither settled nor expired."""
        names = self._server.zrangebyscore(self._open_key(account, period), f"({now}", "+inf")
        asking = self._server.pipeline(transaction=False)
        for name in names:
            asking.hmget(self._hold_key(name), "label", "amount", "settled")
        return [
            (label, int(amount))
            for label, amount, settled in asking.execute()
            if amount is not None and settled is None
        ]

    def _keys(self, hold_id: str, charges: Sequence[tuple[str, str]]) -> list[str]:
        keys = [self._hold_key(hold_id), self._used_key]
        for account, period in charges:
            keys += [self._open_key(account, period), self._spent_key(account, period)]
        return keys

    @property
    def _used_key(self) -> str:
        return f"{self._prefix}used"

    def _hold_key(self, hold_id: str) -> str:
        return f"{self._prefix}hold:{hold_id}"

    def _open_key(self, account: str, period: str) -> str:
        return f"{self._prefix}open:{_field(account, period)}"

    def _spent_key(self, account: str, period: str) -> str:
        return f"{self._prefix}spent:{_field(account, period)}"

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise LedgerError(
                f"the ledger at {self._shown} cannot be used: {error}; {_HELP}"
            ) from error


def _field(account: str, period: str) -> str:
    return json.dumps([account, period])
