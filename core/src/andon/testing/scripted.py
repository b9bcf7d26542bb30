"""A backend that plays a script, for tests without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TypeAlias

from andon.backends import Backend, PromptMeasure
from andon.chat import ChatDelta, ChatRequest, FinishReason, Usage
from andon.errors import UnsupportedParameterError
from andon.hookspecs import hookimpl
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard
from andon.tokens import Exactness, TokenCount

#: What a script is made of: a text to deliver, a whole delta, or an error to raise.
Step: TypeAlias = str | ChatDelta | BaseException


@dataclass(slots=True)
class ScriptedBackend:
    """Answers every request with the same script, word for word.

    :param script: what to do, step by step. Without a finish reason in it, the answer ends with
        ``stop``, one input token for each word asked and one output token for each text.
    :param card: the model as the backend describes it.
    :param measured: whether the backend can measure prompts, at one token a word.
    :param finishes: whether the answer ends with a finish reason of its own.
    :param continues: whether it can go on with an assistant's last message; it then plays what
        follows that in the script.

    What happened is kept in ``requests``, ``timeouts``, ``closed_streams`` and ``closed``.
    """

    script: Sequence[Step] = ("Hello", " world")
    card: ModelCard = ModelCard(name="scripted", context_window=1000)
    measured: bool = True
    finishes: bool = True
    continues: bool = False
    requests: list[ChatRequest] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    closed_streams: int = 0
    closed: bool = False

    def models(self) -> Sequence[ModelCard]:
        """Return the one model."""
        return [self.card]

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        """Count the words of the request."""
        if not self.measured:
            return None
        count = TokenCount(_words(request), Exactness.EXACT, "words")
        return PromptMeasure(count, self.card)

    async def ameasure(self, request: ChatRequest) -> PromptMeasure | None:
        """Count the words of the request."""
        return self.measure(request)

    def stream(
        self, request: ChatRequest, timeout: float | None
    ) -> Generator[ChatDelta, None, None]:
        """Play the script."""
        begun = self._begun(request)
        self.requests.append(request)
        self.timeouts.append(timeout)
        texts = 0
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, ChatDelta):
                    yield step
                    continue
                if text := step[len(begun) :]:
                    texts += 1
                    yield ChatDelta(text=text)
                begun = begun[len(step) :]
            if self.finishes:
                yield ChatDelta(
                    finish_reason=FinishReason.STOP, usage=Usage(_words(request), texts)
                )
        finally:
            self.closed_streams += 1

    def _begun(self, request: ChatRequest) -> str:
        if not request.continue_final_message:
            return ""
        if not self.continues:
            raise UnsupportedParameterError(
                "this script does not go on with a message", parameter="continue_final_message"
            )
        return request.messages[-1].text

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        """Play the script."""
        pieces = self.stream(request, timeout)
        try:
            for delta in pieces:
                yield delta
        finally:
            pieces.close()

    def close(self) -> None:
        """Take note that the backend was closed."""
        self.closed = True

    async def aclose(self) -> None:
        """Take note that the backend was closed."""
        self.closed = True


def plugin_with(
    *, locality: Locality = Locality.IN_PROCESS, **backends: ScriptedBackend
) -> ModuleType:
    """Return a plugin that offers scripted backends, for ``Client(plugins=[…])``.

    :param locality: where they claim to be.
    :param backends: the backends by name; an underscore in a name stands for a hyphen.
    """
    specs = [
        BackendSpec(name=name.replace("_", "-"), create=_giver(backend), locality=locality)
        for name, backend in backends.items()
    ]
    plugin = ModuleType(f"scripted {' '.join(backends)}")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: specs)
    return plugin


def _giver(backend: ScriptedBackend) -> Callable[[BackendContext], Backend]:
    return lambda context: backend


def _words(request: ChatRequest) -> int:
    texts = [request.prompt or "", *(message.text for message in request.messages)]
    return sum(len(text.split()) for text in texts)
