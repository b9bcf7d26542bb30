"""The conformance kit: what every part of a plugin must do, as tests that its author subclasses.

A plugin as such subclasses :class:`PluginConformance`; a backend over HTTP
:class:`BackendConformance`; an engine in this process :class:`InProcessConformance`; and so on.
pytest runs the tests that the subclass inherits. Each failure says what came, what the contract
is, and where it is written.
"""

from __future__ import annotations

from andon.testing.conformance.abilities import ALL, Ability
from andon.testing.conformance.chat_templates import TemplateConformance
from andon.testing.conformance.in_process import InProcessConformance
from andon.testing.conformance.observers import CommandConformance, ObserverConformance
from andon.testing.conformance.plugins import PluginConformance
from andon.testing.conformance.prices import PriceConformance
from andon.testing.conformance.routers import RouterConformance
from andon.testing.conformance.tokenizers import TokenizerConformance
from andon.testing.conformance.wire import BackendConformance

__all__ = [
    "ALL",
    "Ability",
    "BackendConformance",
    "CommandConformance",
    "InProcessConformance",
    "ObserverConformance",
    "PluginConformance",
    "PriceConformance",
    "RouterConformance",
    "TemplateConformance",
    "TokenizerConformance",
]
