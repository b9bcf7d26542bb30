"""An engine made of Python, which shows what the backend does with an engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from andon.backends.engine import GenerateOptions
from andon.backends.in_process import InProcessBackend
from andon.chat import ChatDelta, ChatRequest
from andon.messages import as_messages
from andon.specs import BackendContext, ChatTemplateSpec, ModelCard
from andon.templates import Segment

Script = Callable[[bytes], Iterable[bytes]]


class FakeEngine:
    """Tokens are bytes, those of control texts 1000 larger; answers follow a script."""

    def __init__(self, script: Script | None = None, window: int | None = 1000) -> None:
        self.card = ModelCard(name="fake", context_window=window)
        self.metadata: Mapping[str, Any] = {}
        self.control_tokens: Sequence[str] = ("<|im_start|>", "<|im_end|>")
        self.script: Script = script or (lambda prompt: [b"hello"])
        self.tokenized: list[tuple[Segment, ...]] = []
        self.options: list[GenerateOptions] = []
        self.prompts: list[str] = []
        self.given = 0
        self.open_answers = 0
        self.overlapped = False
        self.closed = threading.Event()

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        self.tokenized.append(tuple(segments))
        return [2] * add_bos + [b + 1000 * s.control for s in segments for b in s.text.encode()]

    def generate(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        prompt = bytes(token % 1000 for token in tokens)
        self.options.append(options)
        self.prompts.append(prompt.decode())
        self.overlapped |= self.open_answers > 0
        self.open_answers += 1
        try:
            for number, piece in enumerate(self.script(prompt)):
                if number == options.max_tokens or options.cancelled() or self.closed.is_set():
                    return
                self.given += 1
                yield piece
        finally:
            self.open_answers -= 1

    def close(self) -> None:
        self.closed.set()


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A backend over fake engines, and what the tests ask of it."""

    def __init__(
        self,
        engine: FakeEngine,
        cards: Sequence[ModelCard] = (),
        templates: Sequence[ChatTemplateSpec] = (),
    ) -> None:
        self.engine = engine
        self.clock = Clock()
        self.loads: list[Path] = []
        by_name = {card.name: card for card in cards}
        context = BackendContext(
            find_card=by_name.get,
            cards=lambda: list(by_name.values()),
            chat_templates=lambda: templates,
        )
        self.backend = InProcessBackend("fake", self.load, context, clock=self.clock)

    def load(self, name: str, path: Path, context: BackendContext) -> FakeEngine:
        self.loads.append(path)
        return self.engine

    def request(self, content: str = "hi", **kwargs: Any) -> ChatRequest:
        kwargs.setdefault("model", "/models/qwen2.5-7b")
        if "prompt" not in kwargs:
            kwargs.setdefault("messages", as_messages(content))
        return ChatRequest(**kwargs)

    def ask(
        self, content: str = "hi", timeout: float | None = None, **kwargs: Any
    ) -> list[ChatDelta]:
        return list(self.backend.stream(self.request(content, **kwargs), timeout))

    def text(self, content: str = "hi", **kwargs: Any) -> str:
        return "".join(delta.text for delta in self.ask(content, **kwargs))


@pytest.fixture
def fake_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(
        script: Script | None = None,
        *,
        window: int | None = 1000,
        metadata: Mapping[str, Any] | None = None,
        cards: Sequence[ModelCard] = (),
        templates: Sequence[ChatTemplateSpec] = (),
    ) -> Bench:
        engine = FakeEngine(script, window)
        engine.metadata = metadata or {}
        made.append(Bench(engine, cards, templates))
        return made[-1]

    yield make
    for one in made:
        one.backend.close()
