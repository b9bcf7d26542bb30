"""Counting the tokens of a chat, message by message, each one once."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from andon.chat import ChatRequest, Tool
from andon.messages import ChatMessage, ImagePart
from andon.tokens import Exactness, TokenCount, Tokenizer, upper_bound

#: How OpenAI frames a chat, in tokens: for each message, for a name, and for the opening of the
#: answer. (OpenAI cookbook, "How to count tokens with tiktoken"; it reproduces the counts that the
#: API reports for its dated models.)
_PER_MESSAGE, _PER_NAME, _OPENING = 3, 1, 3

#: Other formats need no more than a few tokens a message; the upper bound allows for the largest,
#: for a default system prompt, and, where there are tools, for the instructions that a provider
#: writes before them. (Anthropic, the largest that is told: 313 to 530; "Tool use", 2026-11.)
_BOUND_PER_MESSAGE, _BOUND_OPENING, _BOUND_TOOLS = 16, 64, 640

#: Most tokens that a provider charges for one image, where nothing nearer is known of the model:
#: OpenAI's and Gemini's largest images stay below. (Providers' guides on vision, 2026-11.)
IMAGE_TOKENS = 10_000

#: By how much a tokenizer that is not the model's own may be wrong: o200k_base against those of 16
#: newer models, on English, code, JSON and base64.
_FOREIGN_ERROR = 0.4

#: How many messages' counts are kept, or those of one chat where it has more.
_KEPT = 4096

#: Counts the tokens of tools, given a count of texts; None where their framing is not known.
CountTools: TypeAlias = Callable[[Sequence[Tool], Callable[[str], int]], int | None]


class ChatCounter:
    """Counts chats. Asked again with one more message, it counts only that message.

    :param tokenizer: counts texts; where None, an upper bound is given that no tokenizer passes.
    :param exact: whether the tokenizer is the model's own.
    :param name: what counts, for people.
    :param count_tools: counts tools as the provider writes them; their JSON is counted, which is
        longer, where None.
    :param image_tokens: most tokens that the provider charges for one image.
    :param scale: what of the upper bound the model's own counts have come to so far, from 0 to 1.
    """

    #: Whether the prompt itself is counted, and not message by message.
    renders = False

    def __init__(
        self,
        tokenizer: Tokenizer | None = None,
        *,
        exact: bool = True,
        name: str = "",
        count_tools: CountTools | None = None,
        image_tokens: int = IMAGE_TOKENS,
        scale: float = 1.0,
    ) -> None:
        self._tokenizer = tokenizer
        self._count_tools = count_tools
        self._image_tokens = image_tokens
        self._scale = scale
        self._memo: OrderedDict[ChatMessage, int] = OrderedDict()
        self._error = 0.0
        if tokenizer is not None:
            self.exactness = Exactness.EXACT_TEXT if exact else Exactness.ESTIMATE
            self.method = f"{name or 'a tokenizer'}, with OpenAI's framing"
            self._error = 0.0 if exact else _FOREIGN_ERROR
        elif scale < 1:
            self.exactness = Exactness.ESTIMATE
            self.method = "bytes of the text, by the usage that was reported so far"
            self._error = 1 - scale
        else:
            self.exactness, self.method = Exactness.UPPER_BOUND, "bytes of the text"
        self._opening = _OPENING if tokenizer is not None else self._scaled(_BOUND_OPENING)

    def count(
        self,
        messages: Sequence[ChatMessage],
        tools: Iterable[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> TokenCount:
        """Return the size of a chat, as a prompt.

        :param messages: the chat.
        :param tools: the tools that go with it.
        :param schema: the JSON schema that the answer must keep to.
        """
        tools = tuple(tools)
        framing, known = self._beside(tools, schema)
        exact = self.exactness
        if exact is Exactness.EXACT_TEXT and not (known and not any(map(_has_images, messages))):
            # Providers write tools more briefly than JSON, and charge images by their size.
            exact = Exactness.UPPER_BOUND
        return TokenCount(framing + sum(self.costs(messages)), exact, self.method, self._error)

    def request(self, request: ChatRequest) -> TokenCount:
        """Return the size of a request's prompt."""
        if request.prompt is not None:
            tokens = self._opening + self.text(request.prompt)
            return TokenCount(tokens, self.exactness, self.method, self._error)
        return self.count(request.messages, request.tools, request.response_format.schema)

    def costs(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the tokens of each message, its share of the framing included."""
        costs = [self._cost(message) for message in messages]
        while len(self._memo) > max(_KEPT, len(messages)):
            self._memo.popitem(last=False)
        return costs

    def overhead(self, tools: Iterable[Tool] = (), schema: Mapping[str, Any] | None = None) -> int:
        """Return the tokens that a chat has besides its messages."""
        return self._beside(tuple(tools), schema)[0]

    def text(self, text: str) -> int:
        """Return the tokens of a text."""
        if self._tokenizer is None:
            return self._scaled(upper_bound(text))
        return len(self._tokenizer.encode(text))

    def _beside(
        self, tools: tuple[Tool, ...], schema: Mapping[str, Any] | None
    ) -> tuple[int, bool]:
        """Return the tokens beside the messages, and whether the framing of all is known."""
        tokens, known = self._opening, schema is None
        if schema is not None:
            tokens += self.text(json.dumps(schema, ensure_ascii=False, default=str))
        if not tools:
            return tokens, known
        counted = None if self._count_tools is None else self._count_tools(tools, self.text)
        if counted is not None:
            return tokens + counted, known
        if self._tokenizer is None:
            tokens += self._scaled(_BOUND_TOOLS + _BOUND_PER_MESSAGE * len(tools))
        texts = (json.dumps(tool.to_openai(), ensure_ascii=False, default=str) for tool in tools)
        return tokens + sum(map(self.text, texts)), False

    def _cost(self, message: ChatMessage) -> int:
        known = self._memo.get(message)
        if known is None:
            known = self._memo[message] = self._measure(message)
        return known

    def _measure(self, message: ChatMessage) -> int:
        texts = [message.role.value, message.text]
        for call in message.tool_calls:
            texts += [call.name, call.arguments]
        if message.name is not None:
            texts.append(message.name)
        if self._tokenizer is None:
            frame = self._scaled(_BOUND_PER_MESSAGE * (1 + len(message.tool_calls)))
            texts += _seldom_sent(message)
        else:
            named = _PER_NAME if message.name is not None else 0
            frame = _PER_MESSAGE * (1 + len(message.tool_calls)) + named
        images = 0 if isinstance(message.content, str) else sum(map(_is_image, message.content))
        return frame + self._image_tokens * images + sum(self.text(text) for text in texts if text)

    def _scaled(self, bound: int) -> int:
        return bound if self._scale >= 1 else math.ceil(bound * self._scale)


def has_images(messages: Iterable[ChatMessage]) -> bool:
    """Return whether there are images in a chat."""
    return any(map(_has_images, messages))


def _seldom_sent(message: ChatMessage) -> list[str]:
    """Return what only some providers write into a prompt: ids, and thoughts of earlier answers."""
    ids = [call.id for call in message.tool_calls]
    thoughts = [message.reasoning or "", *(state.data for state in message.provider_state)]
    return [*ids, message.tool_call_id or "", *thoughts]


def _is_image(part: object) -> bool:
    return isinstance(part, ImagePart)


def _has_images(message: ChatMessage) -> bool:
    return not isinstance(message.content, str) and any(map(_is_image, message.content))
