"""Counting tokens, and how far a count can be trusted."""

from __future__ import annotations

import unicodedata
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
    :param error: share by which an estimate may be wrong, from 0 on.
    """

    tokens: int
    exactness: Exactness
    method: str
    error: float = 0.0


def upper_bound(text: str) -> int:
    """Return a number of tokens that no tokenizer passes for a text.

    No token is shorter than a byte. Some tokenizers normalise first, which can lengthen a text;
    and some put a space before it. (Held for 21 tokenizers and 20,000 random texts.)

    :param text: the text.
    """
    if text.isascii():
        return len(text) + 1
    normal = unicodedata.normalize("NFKC", text)
    return max(_length(text), _length(normal)) + 1


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def counted_by(backend: str, tokens: int) -> TokenCount:
    """Return a count that a server made of the very request that it would answer."""
    return TokenCount(tokens, Exactness.EXACT, f"counted by {backend}")


class Tokenizer(Protocol):
    """What counts the tokens of a text. It is used by many threads at once."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens; nothing in it is read as a control token."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the tokens."""
        ...


class PromptTokenizer(Tokenizer, Protocol):
    """A tokenizer that also reads prompts, in which control tokens are meant."""

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids of a piece of a prompt, its control tokens each as one."""
        ...
