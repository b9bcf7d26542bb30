"""Counting the tokens of a chat, message by message, each one once."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from andon.chat import Tool
from andon.messages import ChatMessage, ImagePart
from andon.tokens import Exactness, TokenCount, Tokenizer, upper_bound

#: How OpenAI frames a chat, in tokens: for each message, for a name, and for the opening of the
#: answer. (OpenAI cookbook, "How to count tokens with tiktoken"; it reproduces the counts that the
#: API reports for its dated models.) Other formats need no more than a few tokens a message; the
#: upper bound allows for the largest.
_PER_MESSAGE, _PER_NAME, _OPENING = 3, 1, 3
_BOUND_PER_MESSAGE, _BOUND_OPENING = 16, 64

#: Most tokens that a provider charges for one image, where it says: Gemini's highest resolution
#: and OpenAI's largest high-detail image stay below. (Providers' guides on vision, 2026-11.)
IMAGE_TOKENS = 6_000

#: How many messages' counts are kept.
_KEPT = 4096


class ChatCounter:
    """Counts chats. Asked again with one more message, it counts only that message.

    :param tokenizer: counts texts; where None, an upper bound is given that no tokenizer passes.
    :param exact: whether the tokenizer is the model's own.
    :param name: what counts, for people.
    """

    def __init__(
        self, tokenizer: Tokenizer | None = None, *, exact: bool = True, name: str = ""
    ) -> None:
        self._tokenizer = tokenizer
        self._memo: OrderedDict[ChatMessage, int] = OrderedDict()
        if tokenizer is None:
            self.exactness, self.method = Exactness.UPPER_BOUND, "bytes of the text"
        else:
            self.exactness = Exactness.EXACT_TEXT if exact else Exactness.ESTIMATE
            self.method = f"{name or 'a tokenizer'}, with OpenAI's framing"

    def count(self, messages: Sequence[ChatMessage], tools: Iterable[Tool] = ()) -> TokenCount:
        """Return the size of a chat, as a prompt.

        :param messages: the chat.
        :param tools: the tools that go with it.
        """
        tools = tuple(tools)
        tokens = self.overhead(tools) + sum(self.costs(messages))
        exact = self.exactness
        if exact is Exactness.EXACT_TEXT and (tools or any(map(_has_images, messages))):
            # Providers write tools more briefly than JSON, and charge images by their size.
            exact = Exactness.UPPER_BOUND
        return TokenCount(tokens, exact, self.method)

    def costs(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the tokens of each message, its share of the framing included."""
        return [self._cost(message) for message in messages]

    def overhead(self, tools: Iterable[Tool] = ()) -> int:
        """Return the tokens that a chat has besides its messages."""
        opening = _BOUND_OPENING if self._tokenizer is None else _OPENING
        return opening + sum(self.text(json.dumps(tool.to_openai())) for tool in tools)

    def text(self, text: str) -> int:
        """Return the tokens of a text."""
        if self._tokenizer is None:
            return upper_bound(text)
        return len(self._tokenizer.encode(text))

    def _cost(self, message: ChatMessage) -> int:
        known = self._memo.get(message)
        if known is None:
            known = self._memo[message] = self._measure(message)
            if len(self._memo) > _KEPT:
                self._memo.popitem(last=False)
        return known

    def _measure(self, message: ChatMessage) -> int:
        frame = _BOUND_PER_MESSAGE if self._tokenizer is None else _PER_MESSAGE
        texts = [message.role.value, message.text]
        for call in message.tool_calls:
            texts += [call.name, call.arguments]
            frame += _PER_MESSAGE
        if message.name is not None:
            texts.append(message.name)
            frame += _PER_NAME
        images = 0 if isinstance(message.content, str) else sum(map(_is_image, message.content))
        return frame + IMAGE_TOKENS * images + sum(self.text(text) for text in texts if text)


def _is_image(part: object) -> bool:
    return isinstance(part, ImagePart)


def _has_images(message: ChatMessage) -> bool:
    return not isinstance(message.content, str) and any(map(_is_image, message.content))
