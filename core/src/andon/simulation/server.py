"""Simulated servers: so many requests at a time, so many tokens a second, and what can go wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from random import Random
from typing import TypeAlias

from andon.backends import PromptMeasure
from andon.chat import ChatDelta, ChatRequest, FinishReason, ToolCallDelta, Usage
from andon.errors import (
    AndonError,
    BadRequestError,
    StreamInterrupted,
    TransportError,
    UnsupportedParameterError,
)
from andon.failover.seam import SHORTEST_ECHO, is_periodic
from andon.simulation.model import Question, Saying
from andon.simulation.stream import Outcome, SimulatedStream
from andon.simulation.timeline import Timeline
from andon.specs import ModelCard
from andon.tokens import Exactness, TokenCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How fast a server is.

    :param slots: requests that it serves at a time, the others wait there; None for any number.
    :param prefill: tokens of a prompt that it reads in a second.
    :param decode: tokens of an answer that it writes in a second, for each request.
    :param latency: seconds of a round trip to it.
    :param spread: how much requests differ: sigma of a lognormal factor on all times of one.
    """

    slots: int | None = None
    prefill: float = 5000.0
    decode: float = 80.0
    latency: float = 0.05
    spread: float = 0.3


class Continuing(StrEnum):
    """What a server does when it is to go on with an assistant's message."""

    #: It goes on.
    GOES_ON = "goes_on"
    #: It answers with status 400.
    REFUSES = "refuses"
    #: It cannot be asked to: its dialect has no words for it.
    UNABLE = "unable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a server speaks.

    :param model: which of the simulated models it serves.
    :param continuing: what it does when it is to go on with an answer.
    :param strips: whether it takes the white space before an answer's first word away, where that
        is of one token with it.
    :param echoes: whether it repeats what it goes on with, where that is long enough to be told
        from what the model may say itself.
    :param piece: tokens in one piece of a stream after the first; 0 cuts the text anywhere, in
        tokens as well.
    :param opening: whether a piece without text comes first.
    :param reports: whether it reports usage.
    :param measures: whether it can measure prompts.
    """

    model: int = 0
    continuing: Continuing = Continuing.GOES_ON
    strips: bool = False
    echoes: bool = False
    piece: int = 1
    opening: bool = False
    reports: bool = True
    measures: bool = False


class FaultKind(StrEnum):
    """What goes wrong with one exchange."""

    #: An error comes instead of an answer.
    ERROR = "error"
    #: The stream ends with an error after some pieces.
    CUT = "cut"
    #: It just ends.
    END = "end"
    #: Nothing more comes.
    STALL = "stall"
    #: Everything takes longer.
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    :param kind: what.
    :param after: pieces that come before it.
    :param error: the error that comes.
    :param factor: how much longer everything takes.
    """

    kind: FaultKind
    after: int = 0
    error: AndonError | None = None
    factor: float = 1.0


#: Draws what goes wrong with an exchange, or None.
DrawFault: TypeAlias = Callable[[Random], Fault | None]

#: The card of every simulated model: its window is never too small.
_CARD = ModelCard(name="simulated", context_window=1_000_000)


def _all_well(random: Random) -> Fault | None:
    return None


class Server:
    """A simulated server; it stands in for the :class:`andon.backends.Backend` that asks it.

    :param name: the backend's name.
    :param timeline: the world's time.
    :param random: the world's dice.
    :param questions: all requests that may come, by their numbers.
    :param service: how fast it is.
    :param manners: how it speaks.
    :param draw_fault: draws what goes wrong with each exchange.
    """

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        random: Random,
        questions: Mapping[int, Question],
        service: Service = Service(),
        manners: Manners = Manners(),
        draw_fault: DrawFault = _all_well,
    ) -> None:
        self.name = name
        self.timeline = timeline
        self.random = random
        self.service = service
        self.manners = manners
        self._questions = questions
        self._draw_fault = draw_fault
        # Dictionaries and not sets, whose order changes from run to run.
        self._busy: dict[SimulatedStream, object] = {}
        self._waiting: deque[SimulatedStream] = deque()
        self.is_down = False

    @property
    def in_flight(self) -> int:
        """How many requests it works at, or has waiting."""
        return len(self._busy) + len(self._waiting)

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of a request's prompt; see :meth:`andon.backends.Backend.measure`."""
        if not self.manners.measures:
            return None
        return PromptMeasure(TokenCount(self.prompt_tokens(request), Exactness.EXACT, ""), _CARD)

    def prompt_tokens(self, request: ChatRequest) -> int:
        """Return the tokens of a prompt, the beginning of the answer in it included."""
        question = self.question(request)
        saying, _, begun = question.answer(request, self.manners.model)
        del saying
        own = question.sayings[self.manners.model % len(question.sayings)]
        return question.prompt_tokens + sum(1 for end in own.ends[1:] if end <= len(begun))

    def question(self, request: ChatRequest) -> Question:
        """Return the request as the world knows it."""
        return self._questions[request.sampling.seed or 0]

    # -- Outages ------------------------------------------------------------------------------

    def fall(self) -> None:
        """Go down: nothing is answered, and what is under way breaks off."""
        self.is_down = True
        for stream in [*self._busy, *self._waiting]:
            stream.break_off(TransportError("the server died"))
        self._busy.clear()
        self._waiting.clear()

    def rise(self) -> None:
        """Come up again."""
        self.is_down = False

    # -- For streams --------------------------------------------------------------------------

    def arrive(self, stream: SimulatedStream) -> None:
        """Take a request in, when it has come over the network."""
        if self.is_down:
            stream.begin([self._soon(TransportError("nobody is there"))])
            return
        stream.fault = self._draw_fault(self.random)
        problem = self._objection(stream.request)
        if problem is None and stream.fault is not None and stream.fault.kind is FaultKind.ERROR:
            problem = stream.fault.error
        if problem is not None:
            stream.begin([self._soon(problem)])
        elif self.service.slots is not None and len(self._busy) >= self.service.slots:
            self._waiting.append(stream)
        else:
            self._work_at(stream)

    def drop(self, stream: SimulatedStream) -> None:
        """Stop working at a request, since nobody waits for it any more, or it is done."""
        if self._busy.pop(stream, None) is not None:
            while self._waiting and len(self._busy) < (self.service.slots or 0):
                self._work_at(self._waiting.popleft())
        elif stream in self._waiting:
            self._waiting.remove(stream)

    def _objection(self, request: ChatRequest) -> AndonError | None:
        if not request.continue_final_message and not self._goes_on_raw(request):
            return None
        match self.manners.continuing:
            case Continuing.REFUSES:
                return BadRequestError("the last message must be the user's", status=400)
            case Continuing.UNABLE:
                return UnsupportedParameterError(
                    "it cannot go on with a message", parameter="continue_final_message"
                )
        return None

    def _goes_on_raw(self, request: ChatRequest) -> bool:
        return request.prompt is not None and request.prompt != self.question(request).prompt

    def _soon(self, outcome: Outcome) -> tuple[float, Outcome]:
        return self.timeline.now + self.service.latency / 2, outcome

    # -- Work ---------------------------------------------------------------------------------

    def _work_at(self, stream: SimulatedStream) -> None:
        work = self._busy[stream] = object()
        question = self.question(stream.request)
        saying, reason, begun = question.answer(stream.request, self.manners.model)
        pieces = list(self._spoken(saying, begun))
        pieces.append(self._last(stream.request, saying, reason))
        end = self._schedule(stream, question.prompt_tokens, pieces)
        if end is not None:
            self.timeline.at(end, lambda: self._finish(stream, work))

    def _finish(self, stream: SimulatedStream, work: object) -> None:
        # The same stream may have been sent again meanwhile.
        if self._busy.get(stream) is work:
            self.drop(stream)

    def _schedule(
        self, stream: SimulatedStream, prompt_tokens: int, pieces: list[tuple[int, ChatDelta]]
    ) -> float | None:
        """Say when each piece comes; return when the work is done, or None where it hangs."""
        service, fault = self.service, stream.fault
        factor = self.random.lognormvariate(0.0, service.spread) if service.spread else 1.0
        after: int | None = None
        if fault is not None:
            factor *= fault.factor
            after = None if fault.kind is FaultKind.SLOW else min(fault.after, len(pieces) - 1)
        moment = self.timeline.now + prompt_tokens / service.prefill * factor
        arrivals: list[tuple[float, Outcome]] = []
        for tokens, piece in pieces[:after]:
            moment += tokens / service.decode * factor
            arrivals.append((moment + service.latency / 2, piece))
        stream.begin(arrivals)
        if after is None:
            stream.begin([(moment + service.latency / 2, None)])
        elif fault is not None and fault.kind is not FaultKind.STALL:
            stream.begin([(moment + service.latency / 2, _break(fault))])
        else:
            return None
        return moment

    def _spoken(self, saying: Saying, begun: str) -> Iterator[tuple[int, ChatDelta]]:
        """Give the pieces of an answer, each with the number of its tokens."""
        if self.manners.opening:
            yield 0, ChatDelta()
        if self.manners.echoes and len(begun) >= SHORTEST_ECHO and not is_periodic(begun):
            yield 0, ChatDelta(text=begun)
        for token in saying.reasoning:
            yield 1, ChatDelta(reasoning=token)
        tokens = saying.tokens
        if self.manners.strips and tokens and not tokens[0].isspace():
            tokens = (tokens[0].lstrip(), *tokens[1:])
        for count, text in self._cut(tokens):
            yield count, ChatDelta(text=text)
        if saying.call is not None:
            name, arguments = saying.call
            yield 1, ChatDelta(tool_calls=(ToolCallDelta(0, f"call-{self.name}", name),))
            for token in arguments:
                yield 1, ChatDelta(tool_calls=(ToolCallDelta(0, arguments=token),))

    def _cut(self, tokens: Sequence[str]) -> Iterator[tuple[int, str]]:
        size = self.manners.piece
        if size == 1:
            yield from ((1, token) for token in tokens)
        elif size:
            # The first one comes as soon as it is there.
            ends = [0, *range(1, len(tokens), size), len(tokens)] if tokens else []
            for at, end in pairwise(ends):
                some = tokens[at:end]
                yield len(some), "".join(some)
        else:
            text = "".join(tokens)
            while text:
                some_text = text[: self.random.randint(1, 5)]
                yield 1, some_text
                text = text[len(some_text) :]

    def _last(
        self, request: ChatRequest, saying: Saying, reason: FinishReason
    ) -> tuple[int, ChatDelta]:
        last = ChatDelta(finish_reason=reason)
        if not self.manners.reports:
            return 1, last
        return 1, replace(last, usage=Usage(self.prompt_tokens(request), saying.size))


def _break(fault: Fault) -> Outcome:
    if fault.kind is FaultKind.END:
        return None
    return fault.error or StreamInterrupted("the connection broke")
