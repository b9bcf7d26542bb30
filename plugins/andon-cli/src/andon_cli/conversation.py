"""The chat that the terminal holds: what was said, and how much of it the model said."""

from __future__ import annotations

from dataclasses import dataclass, field

from andon.messages import ChatMessage

#: Appended to an answer that the user stopped, so that the model knows that it did not end there.
STOPPED = " [stopped by the user]"
#: Appended to an answer that the backend broke off.
BROKEN_OFF = " [broken off]"


@dataclass(slots=True)
class Conversation:
    """A chat.

    :param model: the model that answers next, as ``backend:model``.
    :param system: the instruction that the model gets first, or None.
    :param messages: what was said since, a user's and an assistant's message in turn.
    """

    model: str
    system: str | None = None
    messages: list[ChatMessage] = field(default_factory=list)

    def ask(self, question: str) -> list[ChatMessage]:
        """Return what the model gets for the next question, which is not yet part of the chat."""
        instruction = [ChatMessage.system(self.system)] if self.system else []
        return [*instruction, *self.messages, ChatMessage.user(question)]

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
        """Forget what was said. Model and instruction stay."""
        self.messages.clear()
