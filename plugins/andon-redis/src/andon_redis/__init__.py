"""Budgets, queues and health of many machines in one Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from andon.hookspecs import hookimpl
from andon.specs import LedgerSpec, RouterSpec

if TYPE_CHECKING:
    from andon.budget import Ledger
    from andon.routing import Router


@hookimpl
def andon_register_ledgers() -> Iterable[LedgerSpec]:
    """Offer ledgers at ``redis:``, ``rediss:`` (with TLS), ``valkey:`` and ``valkeys:``."""
    schemes = ("redis", "rediss", "valkey", "valkeys")
    return [LedgerSpec(scheme=scheme, create=_create) for scheme in schemes]


def _create(url: str) -> Ledger:
    from andon_redis.ledger import RedisLedger

    return RedisLedger(url)


@hookimpl
def andon_register_routers() -> Iterable[RouterSpec]:
    """Offer the strategy ``redis``: one of andon's own; counts, queues and health are shared."""
    return [RouterSpec(name="redis", create=_create_router)]


def _create_router(options: Mapping[str, Any]) -> Router:
    from andon_redis.router import create_router

    return create_router(options)
