"""Models whose answers are known beforehand, so that what is delivered can be held against them.

A simulated model is a function of the request alone, as a real one is under greedy decoding. What
it says to the beginning of an answer depends on where that beginning ends: between two tokens it
goes on as it would have gone on by itself; inside a token, or after a space that would have been a
part of the next one, it goes astray, as real models do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from andon.chat import ChatRequest, FinishReason
from andon.stop_texts import StopScanner

#: What a model says that is given half a token.
ASTRAY = ("?", " I", " lost", " it")


@dataclass(frozen=True, slots=True)
class Saying:
    """What a model answers to one request.

    :param tokens: the text, token by token.
    :param reasoning: the thoughts before it, token by token.
    :param call: a tool call after it: the tool's name and the tokens of its arguments.
    """

    tokens: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    call: tuple[str, tuple[str, ...]] | None = None
    text: str = field(init=False)
    ends: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", "".join(self.tokens))
        object.__setattr__(self, "ends", (0, *accumulate(map(len, self.tokens))))

    def rest(self, begun: str) -> tuple[str, ...] | None:
        """Return the tokens after a beginning, or None where it is none.

        :param begun: the text so far.
        """
        if not self.text.startswith(begun):
            return None
        place = bisect_left(self.ends, len(begun))
        return self.tokens[place:] if self.ends[place] == len(begun) else None


@dataclass(frozen=True, slots=True)
class Question:
    """A request as the world knows it: what is asked, and what every model has to say to it.

    :param number: its name; requests bear it as their seed.
    :param prompt_tokens: size of the prompt.
    :param sayings: what models answer; the first model the first, and so on.
    :param prompt: the raw prompt, where it is one.
    """

    number: int
    prompt_tokens: int
    sayings: tuple[Saying, ...]
    prompt: str | None = None

    def answer(self, request: ChatRequest, model: int) -> tuple[Saying, FinishReason, str]:
        """Return what a model says to a request, why it ends, and what it was given to go on with.

        :param request: the request as it was sent.
        :param model: which of the models is asked.
        """
        own, begun = self.sayings[model % len(self.sayings)], self._begun(request)
        tokens = self._rest(own, begun) if begun else own.tokens
        most = request.sampling.max_tokens
        cut = most is not None and len(tokens) >= most
        if cut:
            tokens = tokens[:most]
        tokens, by_stop = _stopped(tokens, request.sampling.stop)
        if tokens is not own.tokens:
            own = Saying(tokens, own.reasoning, None if cut or by_stop or begun else own.call)
        if cut and not by_stop:
            return own, FinishReason.LENGTH, begun
        return own, FinishReason.TOOL_CALLS if own.call else FinishReason.STOP, begun

    def _begun(self, request: ChatRequest) -> str:
        if request.prompt is not None:
            return request.prompt[len(self.prompt or "") :]
        return request.messages[-1].text if request.continue_final_message else ""

    def _rest(self, own: Saying, begun: str) -> tuple[str, ...]:
        for saying in (own, *self.sayings):
            rest = saying.rest(begun)
            if rest is not None:
                return rest
        return ASTRAY


def _stopped(tokens: tuple[str, ...], stop: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the tokens before a stop text, and whether there was one."""
    if not stop:
        return tokens, False
    scanner = StopScanner(stop)
    passed = [scanner.feed(token) for token in tokens]
    found = scanner.found is not None
    # What was held back comes out at the end.
    passed.append(scanner.finish())
    return tuple(filter(None, passed)), found
