"""What tests of plugins and of programs need: the conformance kit, and servers and backends to ask.

:class:`BackendConformance` needs pytest, and :class:`LedgerMachine` hypothesis; each is imported
with its first use.
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
    from andon.testing.ledger_machine import LedgerMachine as LedgerMachine

_HOMES = dict.fromkeys(
    ("ALL", "Ability", "BackendConformance", "InProcessConformance"), "conformance"
) | {"LedgerMachine": "ledger_machine"}

__all__ = [
    "ALL",
    "Ability",
    "BackendConformance",
    "InProcessConformance",
    "LedgerConformance",
    "LedgerMachine",
    "Recorded",
    "Recorder",
    "ScriptedBackend",
    "plugin_with",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'andon.testing' has no attribute {name!r}")
    return getattr(import_module(f"andon.testing.{_HOMES[name]}"), name)
