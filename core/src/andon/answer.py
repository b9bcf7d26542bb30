"""Putting the pieces of an answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate, takewhile

from andon.chat import (
    Attempt,
    ChatDelta,
    ChatResponse,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from andon.messages import ChatMessage, ProviderState, Role, ToolCall


@dataclass(slots=True)
class _CallPieces:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def append(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id
        self.name = self.name or delta.name
        self.arguments.append(delta.arguments)


@dataclass(slots=True)
class Answer:
    """An answer in the making."""

    usage: Usage = Usage()
    usage_known: bool = False
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    request_id: str | None = None
    started: bool = False
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _calls: dict[int, _CallPieces] = field(default_factory=dict)
    _logprobs: list[TokenLogprob] = field(default_factory=list)
    _state: list[ProviderState] = field(default_factory=list)

    def append(self, delta: ChatDelta) -> None:
        """Add the next piece."""
        self.started = True
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        for call in delta.tool_calls:
            self._calls.setdefault(call.index, _CallPieces()).append(call)
        self._logprobs += delta.logprobs
        self._state += delta.provider_state
        if delta.usage is not None:
            self.usage, self.usage_known = delta.usage, True
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
            self.raw_finish_reason = delta.raw_finish_reason
        self.request_id = self.request_id or delta.request_id

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    @property
    def has_content(self) -> bool:
        """Whether a part of a text, of thoughts or of a tool call has come."""
        return bool(self._text or self._reasoning or self._calls)

    def tokens_before(self, characters: int) -> int:
        """Return how many tokens the beginning of the text has, as far as its pieces tell.

        Nearly every backend sends a piece for each token. Where one sends more at once, the number
        is too low.

        :param characters: length of that beginning.
        """
        ends = accumulate(map(len, self._text))
        return sum(1 for _ in takewhile(lambda end: end <= characters, ends))

    def forget_provider_state(self) -> None:
        """Forget what a provider wanted back, since another one answers anew."""
        self._state.clear()

    @property
    def size(self) -> int:
        """A number of tokens that what was delivered cannot pass: its bytes."""
        calls = (piece for call in self._calls.values() for piece in (call.name, *call.arguments))
        pieces = (*self._text, *self._reasoning, *calls)
        return sum(len(piece.encode("utf-8", "surrogatepass")) for piece in pieces)

    def message(self) -> ChatMessage:
        """Return the answer as the assistant's message."""
        calls = tuple(
            [
                ToolCall(pieces.id, pieces.name, "".join(pieces.arguments))
                for _, pieces in sorted(self._calls.items())
            ]
        )
        reasoning = "".join(self._reasoning) or None
        return ChatMessage(
            Role.ASSISTANT,
            self.text,
            tool_calls=calls,
            reasoning=reasoning,
            provider_state=tuple(self._state),
        )

    def response(
        self, *, backend: str, model: str, cost_usd: Decimal, attempts: Sequence[Attempt]
    ) -> ChatResponse:
        """Return the answer as a whole.

        :param backend: who answered.
        :param model: the model's name there.
        :param cost_usd: what it cost, in US dollars.
        :param attempts: every attempt made.
        """
        return ChatResponse(
            message=self.message(),
            finish_reason=self.finish_reason or FinishReason.STOP,
            usage=self.usage,
            cost_usd=cost_usd,
            backend=backend,
            model=model,
            attempts=tuple(attempts),
            raw_finish_reason=self.raw_finish_reason,
            request_id=self.request_id,
            logprobs=tuple(self._logprobs),
        )
