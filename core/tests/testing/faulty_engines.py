"""A sound backend in this process, and faulty ones; see faulty_backends.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import ClassVar

from andon import (
    BackendSpec,
    ChatDelta,
    ChatRequest,
    Exactness,
    FinishReason,
    Locality,
    ModelCard,
    RequestTimeout,
    TokenCount,
    UnknownModelError,
    UnsupportedParameterError,
    Usage,
    hookimpl,
)
from andon.backends import PromptMeasure
from andon.messages import ImagePart
from andon.testing import Ability, InProcessConformance

CARD = ModelCard(name="poem", context_window=1000)
WORDS = "The woods are lovely dark and deep".split()
ABILITIES = frozenset(
    {Ability.STOP, Ability.SEED, Ability.MODEL_LIST, Ability.HEALTH, Ability.TOKEN_COUNT}
)


class Reciter:
    """Recites a line, one word a token."""

    def models(self) -> Sequence[ModelCard]:
        return [CARD]

    def measure(self, request: ChatRequest) -> PromptMeasure:
        if request.model != CARD.name:
            raise UnknownModelError(f"there is no model {request.model!r}")
        self.refuse(request)
        return PromptMeasure(TokenCount(self.size(request), Exactness.EXACT, "words"), CARD)

    async def ameasure(self, request: ChatRequest) -> PromptMeasure:
        return self.measure(request)

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        began, text, count = time.monotonic(), "", 0
        reason = FinishReason.STOP
        for word in WORDS:
            if timeout is not None and time.monotonic() - began >= timeout:
                raise RequestTimeout("it is too late")
            if any(stop in word for stop in request.sampling.stop):
                break
            if count == request.sampling.max_tokens:
                reason = FinishReason.LENGTH
                break
            text, count = f"{word} ", count + 1
            yield ChatDelta(text)
        usage = Usage(self.size(request), count)
        yield ChatDelta(finish_reason=reason, raw_finish_reason=reason.value, usage=usage)

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        for delta in self.stream(request, timeout):
            # Twice: whoever counts along must come out ahead.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            yield delta

    def close(self) -> None: ...

    async def aclose(self) -> None: ...

    def size(self, request: ChatRequest) -> int:
        return sum(len(message.text.split()) for message in request.messages)

    def refuse(self, request: ChatRequest) -> None:
        asked = {
            "tools": request.tools,
            "response_format": request.response_format.kind != "text",
            "reasoning_effort": request.reasoning_effort,
            "top_logprobs": request.top_logprobs is not None,
        }
        for parameter, value in asked.items():
            if value:
                raise UnsupportedParameterError("it only recites", parameter=parameter)
        images = any(
            isinstance(part, ImagePart) for message in request.messages for part in message.content
        )
        if request.prompt is not None or request.continue_final_message or images:
            raise UnsupportedParameterError("it only recites")


class Unlimited(Reciter):
    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        free = replace(request, sampling=replace(request.sampling, max_tokens=None))
        yield from super().stream(free, timeout)


class Unstoppable(Reciter):
    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        free = replace(request, sampling=replace(request.sampling, stop=()))
        yield from super().stream(free, timeout)


class InOnePiece(Reciter):
    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        *pieces, last = super().stream(request, timeout)
        yield ChatDelta("".join(piece.text for piece in pieces))
        yield last


class Careless(Reciter):
    def refuse(self, request: ChatRequest) -> None:
        if request.top_logprobs is None:
            super().refuse(request)


class Blocking(Reciter):
    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        for delta in self.stream(request, timeout):
            yield delta


class Patient(Reciter):
    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        yield from super().stream(request, None)


class CountsByGuess(Reciter):
    def size(self, request: ChatRequest) -> int:
        return super().size(request) + int(request.stream)


class Stuck(Reciter):
    busy = False

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        if self.busy:
            raise RequestTimeout("somebody else still listens")
        self.busy = True
        yield from super().stream(request, timeout)
        self.busy = False


@dataclass(frozen=True)
class Fault:
    """A faulty backend, and the test that must fail for it."""

    name: str
    test: str
    backend: type[Reciter]


FAULTS = [
    Fault("Unlimited", "test_max_tokens", Unlimited),
    Fault("Unstoppable", "test_stop", Unstoppable),
    Fault("InOnePiece", "test_an_answer_in_pieces", InOnePiece),
    Fault("Careless", "test_what_else_is_not_claimed", Careless),
    Fault("Blocking", "test_the_event_loop_goes_on", Blocking),
    Fault("Patient", "test_a_timeout", Patient),
    Fault("CountsByGuess", "test_an_answer", CountsByGuess),
    Fault("Stuck", "test_closing_a_stream", Stuck),
]


def _plugin(backend: type[Reciter]) -> ModuleType:
    spec = BackendSpec(
        name="reciter", create=lambda context: backend(), locality=Locality.IN_PROCESS
    )
    plugin = ModuleType("andon_reciter")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    return plugin


class TestSound(InProcessConformance):
    plugin: ClassVar[object] = _plugin(Reciter)
    backend = "reciter"
    model = "poem"
    abilities = ABILITIES


for fault in FAULTS:
    globals()[f"Test{fault.name}"] = type(
        f"Test{fault.name}", (TestSound,), {"plugin": _plugin(fault.backend)}
    )
