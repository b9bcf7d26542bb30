"""Whose turn is it: in which order candidates are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from andon.selection import ModelRef
from andon.specs import BackendSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer, and the backend that serves it.

    :param ref: how the caller named it.
    :param spec: the backend.
    """

    ref: ModelRef
    spec: BackendSpec


class Router(Protocol):
    """A routing strategy."""

    def order(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return the candidates in the order in which to ask them; it may leave some out."""
        ...


class InOrder:
    """Asks the candidates in the caller's order of preference."""

    def order(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return the candidates as they are."""
        return candidates
