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

    @property
    def size(self) -> int:
        """How many tokens it has, those of the call's name and arguments included."""
        called = 0 if self.call is None else 1 + len(self.call[1])
        return len(self.reasoning) + len(self.tokens) + called

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
        saying = self._rest(own, begun) if begun else own
        most = request.sampling.max_tokens
        limited = saying if most is None else _limited(saying, most)
        tokens, by_stop = _stopped(limited.tokens, request.sampling.stop)
        if by_stop:
            return Saying(tokens, limited.reasoning), FinishReason.STOP, begun
        if tokens is not limited.tokens:
            limited = Saying(tokens, limited.reasoning, limited.call)
        if most is not None and saying.size >= most:
            return limited, FinishReason.LENGTH, begun
        return limited, FinishReason.TOOL_CALLS if limited.call else FinishReason.STOP, begun

    def _begun(self, request: ChatRequest) -> str:
        if request.prompt is not None:
            return request.prompt[len(self.prompt or "") :]
        return request.messages[-1].text if request.continue_final_message else ""

    def _rest(self, own: Saying, begun: str) -> Saying:
        for saying in (own, *self.sayings):
            rest = saying.rest(begun)
            if rest is not None:
                return Saying(rest, call=saying.call)
        return Saying(ASTRAY)


def _limited(saying: Saying, most: int) -> Saying:
    """Return as much of a saying as so many tokens hold; half a call is none."""
    if saying.size <= most:
        return saying
    reasoning = saying.reasoning[:most]
    return Saying(saying.tokens[: most - len(reasoning)], reasoning)


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
