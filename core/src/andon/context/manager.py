"""Keeping a chat within a model's context window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from andon.chat import Tool
from andon.context.counting import IMAGE_TOKENS, ChatCounter
from andon.context.truncation import (
    Truncation,
    TruncationStrategy,
    truncate,
    truncate_prompt,
)
from andon.context.window import ContextWindow
from andon.errors import ConfigurationError
from andon.messages import Messages, as_messages
from andon.profiles import ProfileTable
from andon.specs import TokenizerSpec
from andon.tokens import TokenCount

#: Tokens kept free for the answer where nobody says how long it may be.
DEFAULT_OUTPUT_RESERVE = 4_096


class ContextManager:
    """Counts chats, says whether they fit, and leaves out what does not.

    :param window: the model's context window, and what of it is kept for the answer.
    :param counter: counts chats; by an upper bound where None.
    :param strategy: what is left out of a chat that is too long.
    :param block: how many turns are left out at a time; see :func:`andon.context.truncate`.
    """

    def __init__(
        self,
        window: ContextWindow,
        counter: ChatCounter | None = None,
        *,
        strategy: TruncationStrategy | str = TruncationStrategy.SLIDING_WINDOW,
        block: int = 1,
    ) -> None:
        self.window = window
        self.counter = counter or ChatCounter()
        self.strategy = TruncationStrategy(strategy)
        self._block = block

    @classmethod
    def for_model(
        cls,
        model: str,
        *,
        strategy: TruncationStrategy | str = TruncationStrategy.SLIDING_WINDOW,
        output_reserve: int | None = None,
        block: int = 1,
        tokenizers: Sequence[TokenizerSpec] | None = None,
    ) -> ContextManager:
        """Return a manager for a model that andon knows by name.

        :param model: the model's name, with or without ``backend:`` before it.
        :param strategy: what is left out of a chat that is too long.
        :param output_reserve: tokens kept free for the answer; 4096, or a quarter of a smaller
            window, where None.
        :param block: how many turns are left out at a time.
        :param tokenizers: what can count; installed plugins are asked where None.
        :raises ConfigurationError: nobody knows the model's context window.
        """
        backend, _, name = model.partition(":")
        profile = ProfileTable().find(backend if name else "", name or backend)
        if profile.context_window is None:
            raise ConfigurationError(
                f"nobody knows the context window of {model!r}; make a "
                "ContextManager(ContextWindow(tokens)) of your own"
            )
        reserve = reserve_for(profile.context_window, output_reserve)
        window = ContextWindow(profile.context_window, reserve)
        if tokenizers is None:
            from andon.plugins import Plugins

            tokenizers = Plugins().tokenizers()
        counter = counter_for(model, tokenizers, profile.image_tokens)
        return cls(window, counter, strategy=strategy, block=block)

    def count(self, messages: Messages, tools: Iterable[Tool] = ()) -> TokenCount:
        """Return the size of a chat."""
        return self.counter.count(as_messages(messages), tools)

    def fits(self, messages: Messages, tools: Iterable[Tool] = ()) -> bool:
        """Return whether a chat fits, with room for the answer."""
        return self.count(messages, tools).tokens <= self.window.available

    def truncate(self, messages: Messages, tools: Iterable[Tool] = ()) -> Truncation:
        """Return what is kept of a chat, and what was left out.

        Instructions, the last question of the user and what follows it are kept; turns are left
        out whole, so that no tool's result loses its call.

        :param messages: the chat; it stays as it is.
        :param tools: the tools that go with it.
        :raises ContextOverflowError: what must be kept does not fit; or the chat is too long, and
            the strategy is to say so.
        """
        chat, tools = as_messages(messages), tuple(tools)
        if self.counter.renders:
            return truncate_prompt(
                chat,
                lambda kept: self.counter.count(kept, tools).tokens,
                self.window.available,
                self.strategy,
                window=self.window.tokens,
                block=self._block,
            )
        return truncate(
            chat,
            self.counter.costs(chat),
            self.window.available,
            self.strategy,
            overhead=self.counter.overhead(tools),
            window=self.window.tokens,
            block=self._block,
        )


def reserve_for(window: int, max_tokens: int | None) -> int:
    """Return the tokens to keep free for an answer.

    :param window: size of the context window in tokens.
    :param max_tokens: most tokens that the answer may have, where the caller says.
    """
    return min(DEFAULT_OUTPUT_RESERVE, window // 4) if max_tokens is None else max_tokens


def counter_for(
    model: str, tokenizers: Sequence[TokenizerSpec], image_tokens: int | None = None
) -> ChatCounter:
    """Return the best counter for a model: the tokenizer with the longest pattern that matches.

    :param model: the model's name, with or without ``backend:`` before it.
    :param tokenizers: what there is.
    :param image_tokens: most tokens that one image is charged as, where that is known.
    """
    images = image_tokens or IMAGE_TOKENS
    name = model.lower()
    names = {name, name.partition(":")[2], name.rpartition("/")[2]}
    found = [
        (len(pattern), spec)
        for spec in tokenizers
        for pattern in spec.models
        if any(fnmatchcase(candidate, pattern) for candidate in names if candidate)
    ]
    if not found:
        return ChatCounter(image_tokens=images)
    spec = max(found, key=lambda entry: entry[0])[1]
    try:
        tokenizer = spec.create()
    except ConfigurationError:
        # Its files are not there. The bound holds without them, and the count says what it is.
        return ChatCounter(image_tokens=images)
    return ChatCounter(
        tokenizer,
        exact=spec.exact,
        name=spec.name,
        count_tools=spec.count_tools,
        image_tokens=images,
    )
