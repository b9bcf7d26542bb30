"""What tests of plugins and of programs need: the conformance kit, and servers and backends to ask.

The conformance classes need pytest, and :class:`LedgerMachine` hypothesis; each is imported with
its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from andon.testing.fakes import ByteTokenizer, EventLog, sample_events
from andon.testing.recorder import Recorded, Recorder
from andon.testing.scripted import ScriptedBackend, plugin_with

if TYPE_CHECKING:
    from andon.testing.conformance import ALL as ALL
    from andon.testing.conformance import Ability as Ability
    from andon.testing.conformance import BackendConformance as BackendConformance
    from andon.testing.conformance import CommandConformance as CommandConformance
    from andon.testing.conformance import InProcessConformance as InProcessConformance
    from andon.testing.conformance import ObserverConformance as ObserverConformance
    from andon.testing.conformance import PluginConformance as PluginConformance
    from andon.testing.conformance import PriceConformance as PriceConformance
    from andon.testing.conformance import RouterConformance as RouterConformance
    from andon.testing.conformance import TemplateConformance as TemplateConformance
    from andon.testing.conformance import TokenizerConformance as TokenizerConformance
    from andon.testing.ledger import LedgerConformance as LedgerConformance
    from andon.testing.ledger_machine import LedgerMachine as LedgerMachine
    from andon.testing.replay import ExchangeRecorder as ExchangeRecorder
    from andon.testing.replay import Replayer as Replayer

_HOMES = dict.fromkeys(
    (
        "ALL", "Ability", "BackendConformance", "CommandConformance", "InProcessConformance",
        "ObserverConformance", "PluginConformance", "PriceConformance", "RouterConformance",
        "TemplateConformance", "TokenizerConformance",
    ),
    "conformance",
) | {
    "ExchangeRecorder": "replay",
    "LedgerConformance": "ledger",
    "LedgerMachine": "ledger_machine",
    "Replayer": "replay",
}  # fmt: skip

__all__ = [
    "ALL",
    "Ability",
    "BackendConformance",
    "ByteTokenizer",
    "CommandConformance",
    "EventLog",
    "ExchangeRecorder",
    "InProcessConformance",
    "LedgerConformance",
    "LedgerMachine",
    "ObserverConformance",
    "PluginConformance",
    "PriceConformance",
    "Recorded",
    "Recorder",
    "Replayer",
    "RouterConformance",
    "ScriptedBackend",
    "TemplateConformance",
    "TokenizerConformance",
    "plugin_with",
    "sample_events",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'andon.testing' has no attribute {name!r}")
    return getattr(import_module(f"andon.testing.{_HOMES[name]}"), name)
