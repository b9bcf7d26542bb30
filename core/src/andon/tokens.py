"""Counting tokens, and how far a count can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Exactness(StrEnum):
    """How far a count can be trusted, from certain to rough."""

    EXACT = "exact"
    EXACT_TEXT = "exact text"
    UPPER_BOUND = "upper bound"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens.

    :param tokens: how many.
    :param exactness: how far the number can be trusted.
    :param method: what counted, for people.
    """

    tokens: int
    exactness: Exactness
    method: str


def counted_by(backend: str, tokens: int) -> TokenCount:
    """Return a count that a server made of the very request that it would answer."""
    return TokenCount(tokens, Exactness.EXACT, f"counted by {backend}")


class Tokenizer(Protocol):
    """What counts the tokens of a text."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens; nothing in it is read as a control token."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the tokens."""
        ...
