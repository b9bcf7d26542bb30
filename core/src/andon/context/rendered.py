"""Counting the prompt itself: rendered by the model's template, read by its own tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from andon.chat import Tool
from andon.context.counting import ChatCounter
from andon.messages import ChatMessage
from andon.tokens import Exactness, TokenCount, Tokenizer


class PromptPiece(Protocol):
    """A piece of a prompt; see :class:`andon.templates.Segment`."""

    @property
    def text(self) -> str:
        """Its text."""
        ...

    @property
    def control(self) -> bool:
        """Whether control tokens in it are meant."""
        ...


class RenderedPrompt(Protocol):
    """A prompt in pieces; see :class:`andon.templates.Rendered`."""

    @property
    def segments(self) -> Sequence[PromptPiece]:
        """Its pieces, in order."""
        ...


class PromptRenderer(Protocol):
    """What writes chats as prompts, as :class:`andon.ChatTemplateEngine` does."""

    def render(self, messages: Any, *, tools: Any = (), normalize: Any = "strict") -> Any:
        """Return the prompt, a :class:`RenderedPrompt`."""
        ...


class RenderedCounter(ChatCounter):
    """Counts the rendered prompt: exactly, for a model whose template and tokenizer are here.

    :param tokenizer: the model's own. Where it has ``encode_prompt``, control tokens count as the
        one token that they are; otherwise as the text that they are written with, which is more.
    :param template: writes the prompt.
    :param name: what counts, for people.
    :param normalize: whether messages that the template cannot express are folded, as ``merge``.
    """

    renders = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: PromptRenderer,
        *,
        name: str = "",
        normalize: str = "strict",
    ) -> None:
        super().__init__(tokenizer, name=name)
        self._plain = tokenizer.encode
        self._prompt: Callable[[str], list[int]] | None = getattr(tokenizer, "encode_prompt", None)
        self._template = template
        self._normalize = normalize
        self.exactness = Exactness.UPPER_BOUND if self._prompt is None else Exactness.EXACT
        self.method = f"{name or 'a tokenizer'}, of the rendered prompt"

    def count(
        self,
        messages: Sequence[ChatMessage],
        tools: Iterable[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> TokenCount:
        """Return the size of a chat's prompt.

        :param messages: the chat.
        :param tools: the tools that go with it.
        :param schema: of no effect: a template has no place for it.
        :raises TemplateError: the template cannot express the messages.
        """
        prompt: RenderedPrompt = self._template.render(
            messages, tools=tuple(tools), normalize=self._normalize
        )
        control = self._prompt or self._plain
        tokens = sum(
            len((control if piece.control else self._plain)(piece.text))
            for piece in prompt.segments
        )
        return TokenCount(tokens, self.exactness, self.method)
