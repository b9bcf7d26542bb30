"""What tests of plugins and of programs need: the conformance kit, and servers and backends to ask.

:class:`BackendConformance` needs pytest, which is imported with its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from andon.testing.ledger import LedgerConformance
from andon.testing.recorder import Recorded, Recorder
from andon.testing.scripted import ScriptedBackend, plugin_with

if TYPE_CHECKING:
    from andon.testing.conformance import ALL as ALL
    from andon.testing.conformance import Ability as Ability
    from andon.testing.conformance import BackendConformance as BackendConformance
    from andon.testing.conformance import InProcessConformance as InProcessConformance

_KIT = ("ALL", "Ability", "BackendConformance", "InProcessConformance")

__all__ = [
    "ALL",
    "Ability",
    "BackendConformance",
    "InProcessConformance",
    "LedgerConformance",
    "Recorded",
    "Recorder",
    "ScriptedBackend",
    "plugin_with",
]


def __getattr__(name: str) -> Any:
    if name not in _KIT:
        raise AttributeError(f"module 'andon.testing' has no attribute {name!r}")
    return getattr(import_module("andon.testing.conformance"), name)
