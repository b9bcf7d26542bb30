"""The context window: whether a prompt and its answer fit into it."""

from __future__ import annotations

from dataclasses import dataclass

from andon.errors import ContextOverflowError


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """A model's context window.

    :param tokens: most tokens of prompt and answer together.
    :param output_reserve: tokens kept free for the answer; at least one is needed.
    """

    tokens: int
    output_reserve: int = 1

    @property
    def available(self) -> int:
        """Most tokens that a prompt may have."""
        return self.tokens - self.output_reserve

    def check(self, input_tokens: int) -> None:
        """Check that a prompt fits.

        :param input_tokens: size of the prompt.
        :raises ContextOverflowError: it leaves no room for the answer.
        """
        if input_tokens <= self.available:
            return
        raise ContextOverflowError(
            f"the prompt has {input_tokens} tokens, and the context window of {self.tokens} tokens "
            f"keeps {self.output_reserve} free for the answer: {input_tokens - self.available} "
            "tokens too many; shorten the chat, lower max_tokens, or take a model with a larger "
            "window",
            input_tokens=input_tokens,
            window=self.tokens,
            reserve=self.output_reserve,
        )
