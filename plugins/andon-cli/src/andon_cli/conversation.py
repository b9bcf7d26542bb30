"""The chat that the terminal holds: what was said, how much of it the model said, what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from andon.messages import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from andon.chat import Attempt, ChatResponse

#: Appended to an answer that the user stopped, so that the model knows that it did not end there.
STOPPED = " [stopped by the user]"
#: Appended to an answer that the backend broke off.
BROKEN_OFF = " [broken off]"


@dataclass(slots=True)
class Tally:
    """What the answers of a chat took.

    :param answers: how many came to their end.
    :param stopped: how many did not; what the last attempt of these took is not known here.
    :param input_tokens: tokens of prompts.
    :param output_tokens: tokens of answers.
    :param cost_usd: US dollars.
    """

    answers: int = 0
    stopped: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def add(self, response: ChatResponse) -> None:
        """Count an answer, and the attempts before it."""
        self.answers += 1
        self._count(response.attempts)

    def add_broken(self, attempts: Iterable[Attempt] = ()) -> None:
        """Count an answer that did not come to its end, as far as is known."""
        self.stopped += 1
        self._count(attempts)

    def _count(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self.input_tokens += attempt.usage.input_tokens
            self.output_tokens += attempt.usage.output_tokens
            self.cost_usd += attempt.cost_usd


@dataclass(slots=True)
class Conversation:
    """A chat.

    :param model: the model that answers next, as ``backend:model``.
    :param system: the instruction that the model gets first, or None.
    :param messages: what was said since, a user's and an assistant's message in turn.
    :param tally: what it took.
    """

    model: str
    system: str | None = None
    messages: list[ChatMessage] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def ask(self, question: str) -> list[ChatMessage]:
        """Return what the model gets for the next question, which is not yet part of the chat."""
        return [*self._instruction(), *self.messages, ChatMessage.user(question)]

    def keep(self, question: str, answer: str, mark: str = "") -> None:
        """Make a question and its answer part of the chat.

        A question without an answer is not kept: many templates demand that the two alternate.

        :param question: what the user said.
        :param answer: what the model said.
        :param mark: why the answer is not whole.
        """
        if answer:
            self.messages += [ChatMessage.user(question), ChatMessage.assistant(answer + mark)]

    def clear(self) -> None:
        """Forget what was said. Model and instruction stay, and so does what it took."""
        self.messages.clear()

    def as_json(self) -> str:
        """Return the chat as other programs read it: a list of OpenAI-style messages."""
        said = [*self._instruction(), *self.messages]
        records = [{"role": message.role.value, "content": message.text} for message in said]
        return json.dumps({"model": self.model, "messages": records}, ensure_ascii=False, indent=2)

    def as_markdown(self) -> str:
        """Return the chat as people read it."""
        said = [*self._instruction(), *self.messages]
        parts = [f"**{message.role.value}**\n\n{message.text.strip()}" for message in said]
        return "\n\n".join([f"# Chat with {self.model}", *parts]) + "\n"

    def _instruction(self) -> list[ChatMessage]:
        return [ChatMessage.system(self.system)] if self.system else []
