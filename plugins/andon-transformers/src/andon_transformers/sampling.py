"""Choosing the next token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingDefaults:
    """How a model's authors sample from it.

    :param temperature: 0 always takes the most likely token.
    :param top_p: take from the smallest set of tokens whose probabilities add up to this.
    :param top_k: take from so many of the most likely tokens, or from all where None.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None


class Sampler:
    """Chooses tokens; what it chooses repeats with its seed.

    :param temperature: 0 always takes the most likely token.
    :param top_p: take from the smallest set of tokens whose probabilities add up to this.
    :param top_k: take from so many of the most likely tokens, or from all where None.
    :param seed: seed of the choice; None takes a random one.
    """

    def __init__(
        self, *, temperature: float, top_p: float, top_k: int | None, seed: int | None
    ) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._top_k = top_k
        # PyTorch takes 64 bits of a seed, whereas a Python int may have any number of them.
        self._seed = secrets.randbits(64) if seed is None else seed % 2**64
        self._generator: torch.Generator | None = None

    def choose(self, logits: torch.Tensor) -> int:
        """Return the id of the next token.

        :param logits: the logit of every token of the vocabulary.
        :raises ArithmeticError: they are not numbers.
        """
        best, index = logits.max(dim=-1)
        if not torch.isfinite(best):
            raise ArithmeticError("the model's output is not a number; try another dtype")
        if self._temperature == 0:
            return int(index)
        return self._draw(logits.float())

    def _draw(self, logits: torch.Tensor) -> int:
        if self._top_k is None and self._top_p == 1:
            return self._pick(self._probabilities(logits))
        count = min(self._top_k or logits.numel(), logits.numel())
        values, ids = torch.topk(logits, count)
        probabilities = self._probabilities(values)
        before = probabilities.cumsum(dim=-1) - probabilities
        # The likeliest token has nothing before it, and stays even where top_p is 0.
        probabilities[1:][before[1:] >= self._top_p] = 0
        return int(ids[self._pick(probabilities)])

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        # Shifted first, so that dividing by a tiny temperature cannot overflow.
        return torch.softmax((logits - logits.max()) / self._temperature, dim=-1)

    def _pick(self, probabilities: torch.Tensor) -> int:
        if self._generator is None:
            self._generator = torch.Generator(probabilities.device)
            self._generator.manual_seed(self._seed)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))
