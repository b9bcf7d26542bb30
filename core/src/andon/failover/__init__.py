"""Jidoka: a stream that breaks goes on, from its last token, on another backend.

- ``reactions``: what to do about each error, in one table;
- ``seam``: where the delivered text is cut, and how what comes back is joined to it;
- ``resumption``: the request that goes on;
- ``policy``: what a caller may choose;
- ``manager``: all of it as a class that stands alone.
"""

from __future__ import annotations

from andon.failover.manager import FailoverManager
from andon.failover.policy import FailoverMode, FailoverPolicy
from andon.failover.reactions import Reaction, react
from andon.failover.resumption import Resumption, resumptions

__all__ = [
    "FailoverManager",
    "FailoverMode",
    "FailoverPolicy",
    "Reaction",
    "Resumption",
    "react",
    "resumptions",
]
