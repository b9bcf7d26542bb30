"""Whose turn is it: who is asked, who waits, and who is sent elsewhere.

A strategy is a :class:`Router`. The corridor asks it once for each request and tells it what
becomes of the request; the strategy counts. Strategies come with andon (:func:`builtin_routers`)
and with plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from andon.routing.builtin import BUILTIN, builtin_routers, create_router
from andon.routing.contract import Admission, Ask, Candidate, Router, SharesHealth
from andon.routing.in_order import InOrder
from andon.routing.turn import Turn

if TYPE_CHECKING:
    from andon.routing.load import Load, LoadStore
    from andon.routing.memory import MemoryLoad
    from andon.routing.spillover import Local, Reject, RouterConfig, Spillover, SpilloverRouter
    from andon.routing.strategies import Cheapest, Fastest, LeastBusy, Weighted

__all__ = [
    "BUILTIN",
    "Admission",
    "Ask",
    "Candidate",
    "Cheapest",
    "Fastest",
    "InOrder",
    "LeastBusy",
    "Load",
    "LoadStore",
    "Local",
    "MemoryLoad",
    "Reject",
    "Router",
    "RouterConfig",
    "SharesHealth",
    "Spillover",
    "SpilloverRouter",
    "Turn",
    "Weighted",
    "builtin_routers",
    "create_router",
]

# Most programs ask in order: what goes by load is imported when it is wanted.
_HOMES = {
    "Cheapest": "strategies",
    "Fastest": "strategies",
    "LeastBusy": "strategies",
    "Load": "load",
    "LoadStore": "load",
    "Local": "spillover",
    "MemoryLoad": "memory",
    "Reject": "spillover",
    "RouterConfig": "spillover",
    "Spillover": "spillover",
    "SpilloverRouter": "spillover",
    "Weighted": "strategies",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'andon.routing' has no attribute {name!r}")
    value = getattr(import_module(f"andon.routing.{home}"), name)
    globals()[name] = value
    return value
