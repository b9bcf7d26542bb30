"""Budgets of many machines in one Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from andon.hookspecs import hookimpl
from andon.specs import LedgerSpec

if TYPE_CHECKING:
    from andon.budget import Ledger


@hookimpl
def andon_register_ledgers() -> Iterable[LedgerSpec]:
    """Offer ledgers at ``redis:``, ``rediss:`` (with TLS), ``valkey:`` and ``valkeys:``."""
    schemes = ("redis", "rediss", "valkey", "valkeys")
    return [LedgerSpec(scheme=scheme, create=_create) for scheme in schemes]


def _create(url: str) -> Ledger:
    from andon_redis.ledger import RedisLedger

    return RedisLedger(url)
