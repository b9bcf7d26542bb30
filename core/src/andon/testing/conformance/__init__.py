"""The conformance kit: what every backend must do, as tests that a plugin's author subclasses.

A backend over HTTP subclasses :class:`BackendConformance`; an engine in this process
:class:`InProcessConformance`. pytest runs the tests that the subclass inherits. Each failure says
what is wrong and where the contract is written.
"""

from __future__ import annotations

from andon.testing.conformance.abilities import ALL, Ability
from andon.testing.conformance.in_process import InProcessConformance
from andon.testing.conformance.wire import BackendConformance

__all__ = ["ALL", "Ability", "BackendConformance", "InProcessConformance"]
