"""A plugin with models that behave as a test wants, and a command."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from andon import (
    BackendContext,
    BackendSpec,
    ChatDelta,
    ChatRequest,
    CommandSpec,
    FinishReason,
    Locality,
    ModelCard,
    ServerError,
    StreamInterrupted,
    UnsupportedParameterError,
    Usage,
    hookimpl,
)
from andon.backends import PromptMeasure
from andon.backends.http_backend import http_backend_spec
from andon.tokens import Exactness, TokenCount
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

#: Nobody listens there; tests name another address.
ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:9/v1", locality=Locality.LOCAL, key_variables=("STUB_API_KEY",)
)


class StubBackend:
    def __init__(self, context: BackendContext) -> None:
        self._closed = threading.Event()

    def models(self) -> Sequence[ModelCard]:
        return [
            ModelCard(name="echo", context_window=4096, description="says what was said"),
            ModelCard(name="no-chat", capabilities=frozenset()),
        ]

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        if request.model != "small":
            return None
        count = TokenCount(10 * len(request.messages), Exactness.EXACT, "stub")
        return PromptMeasure(count, ModelCard(name="small", context_window=25))

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        if request.continue_final_message and request.model != "resume":
            raise UnsupportedParameterError("no", parameter="continue_final_message")
        text = request.prompt if request.prompt is not None else request.messages[-1].text
        yield from getattr(self, f"_{request.model}", self._echo)(request, text)
        reason = FinishReason.LENGTH if request.model == "long" else FinishReason.STOP
        yield ChatDelta(finish_reason=reason, usage=Usage(3, 4))

    def _echo(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        for word in f"you said: {text}".split(" "):
            yield ChatDelta(text=f"{word} ")

    def _history(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        for message in request.messages:
            yield ChatDelta(text=f"<{message.role}:{message.text}>")

    def _options(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        sampling = request.sampling
        yield ChatDelta(text=f"{sampling.max_tokens} {sampling.temperature} {sampling.seed}")

    def _endless(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        try:
            while not self._closed.wait(0.01):
                yield ChatDelta(text="tick ")
        finally:
            print("<closed>", flush=True)

    def _silent(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        yield ChatDelta(text="well ")
        threading.Event().wait()

    def _thoughts(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        yield ChatDelta(reasoning="hmm")
        yield ChatDelta(text="aha")

    def _afterthoughts(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        for thought, words in (("hmm", "**one** "), ("well", "two"), ("so", "three")):
            yield ChatDelta(reasoning=thought)
            yield ChatDelta(text=words)

    def _hostile(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        yield ChatDelta(text="\x1b]0;owned\x07done")

    def _broken(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        yield ChatDelta(text="half an ")
        raise StreamInterrupted("the server went away", partial="half an ")

    def _lines(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        yield ChatDelta(text="/".join(text.splitlines()))

    def _resume(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        if not request.continue_final_message:
            yield ChatDelta(text="half an ")
        yield ChatDelta(text="answer, and the rest")

    def _markdown(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        for piece in ("# A ti", "tle\n\n- **one", "**\n- `two`\n\n```py\nx =", " 1\n```\n"):
            yield ChatDelta(text=piece)

    def _failing(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        raise ServerError("the server is on fire")
        yield

    def _bug(self, request: ChatRequest, text: str) -> Iterator[ChatDelta]:
        raise ValueError("a bug")
        yield

    def close(self) -> None:
        self._closed.set()


class Empty(StubBackend):
    def models(self) -> Sequence[ModelCard]:
        return []


@hookimpl
def andon_register_backends() -> list[BackendSpec]:
    return [
        BackendSpec(
            name="stub",
            create=StubBackend,
            locality=Locality.LOCAL,
            aliases=("dummy",),
            summary="a stub",
            models=("resume",),
        ),
        BackendSpec(name="cloud", create=Empty, locality=Locality.PUBLIC, summary="a public stub"),
        http_backend_spec("keyed", ENDPOINT, openai_dialect(), summary="a stub with a key"),
    ]


@hookimpl
def andon_register_commands() -> list[CommandSpec]:
    def hello(arguments: Sequence[str]) -> int:
        print("hello", *arguments)
        return len(arguments)

    return [CommandSpec(name="hello", summary="Greet.", run=hello)]
