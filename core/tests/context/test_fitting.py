"""Requests that do not fit: refused, truncated by what counts best, or fitted when told so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from andon import (
    AsyncClient,
    BadRequestError,
    ChatMessage,
    ChatRequest,
    Client,
    ContextOverflowError,
    InvalidRequestError,
    Locality,
    ModelCard,
    ModelProfile,
    ObserverSpec,
    Price,
    PromptTooLongError,
    Role,
    ServerError,
    Settings,
    TokenizerSpec,
    TruncationStrategy,
    hookimpl,
)
from andon.events import ChatTruncated, Event
from andon.testing import ScriptedBackend, plugin_with

#: Twenty turns of ten words each way.
LONG = [
    ChatMessage.system("be brief"),
    *(
        message
        for turn in range(20)
        for message in (
            ChatMessage.user(f"question {turn} " + "word " * 8),
            ChatMessage.assistant("word " * 10),
        )
    ),
    ChatMessage.user("the last question"),
]


class Ear:
    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def andon_register_observers(self) -> list[ObserverSpec]:
        return [ObserverSpec(name="ear", observe=self.events.append)]


def measuring(window: int) -> ScriptedBackend:
    return ScriptedBackend(card=ModelCard(name="m", context_window=window))


def test_a_backend_that_measures_keeps_as_much_as_fits() -> None:
    backend, ear = measuring(200), Ear()
    client = Client(discover=False, plugins=[plugin_with(one=backend), ear])
    client.chat("one:m", LONG, truncation="sliding_window", max_tokens=50)
    [sent] = backend.requests
    # Two words of the rule, three of the question, and seven turns of twenty words: 145 of 150.
    assert len(sent.messages) == 2 + 2 * 7
    assert sent.messages[0] is LONG[0]
    assert sent.messages[-15:] == tuple(LONG[-15:])
    [told] = [event for event in ear.events if isinstance(event, ChatTruncated)]
    assert told.dropped == tuple(range(1, 27))


def test_the_middle_goes() -> None:
    backend = measuring(200)
    client = Client(discover=False, plugins=[plugin_with(one=backend)], settings=None)
    client.chat("one:m", LONG, truncation="middle_out", max_tokens=50)
    texts = [message.text[:11] for message in backend.requests[0].messages]
    assert texts[1].startswith("question 0")
    assert texts[-3].startswith("question 19")


def test_nothing_is_left_out_unasked() -> None:
    client = Client(discover=False, plugins=[plugin_with(one=measuring(200))])
    with pytest.raises(ContextOverflowError):
        client.chat("one:m", LONG)
    with pytest.raises(InvalidRequestError, match="sliding_window"):
        client.chat("one:m", LONG, truncation="guess")


def test_a_question_that_is_too_long_by_itself() -> None:
    client = Client(discover=False, plugins=[plugin_with(one=measuring(200))])
    with pytest.raises(ContextOverflowError, match="the last question alone"):
        client.chat("one:m", "word " * 210, truncation="sliding_window", max_tokens=50)


@dataclass
class Remote(ScriptedBackend):
    """A server that cannot measure, and refuses more words than it can take."""

    most: int = 150
    measured: bool = False

    def stream(self, request: ChatRequest, timeout: float | None) -> Any:
        if sum(len(message.text.split()) for message in request.messages) > self.most:
            self.requests.append(request)
            raise PromptTooLongError("too long", status=400)
        return super().stream(request, timeout)


class Knows:
    """A plugin that knows a window, and perhaps how to count."""

    def __init__(self, window: int, *, counts: bool) -> None:
        self.window, self.counts = window, counts

    @hookimpl
    def andon_model_profile(self, backend: str, model: str) -> ModelProfile:
        return ModelProfile(context_window=self.window)

    @hookimpl
    def andon_register_tokenizers(self) -> list[TokenizerSpec]:
        words = TokenizerSpec(name="words", create=Words, models=("far:*",), exact=True)
        return [words] if self.counts else []


class Words:
    def encode(self, text: str) -> list[int]:
        return [0] * len(text.split())

    def decode(self, tokens: list[int]) -> str:
        raise NotImplementedError


def remote(backend: Remote, knows: Knows) -> Client:
    plugin = plugin_with(locality=Locality.LOCAL, far=backend)
    return Client(discover=False, plugins=[plugin, knows], truncation="sliding_window")


def test_a_tokenizer_counts_before_anything_is_sent() -> None:
    backend = Remote(most=150)
    remote(backend, Knows(200, counts=True)).chat("far:m", LONG, max_tokens=50)
    [sent] = backend.requests
    assert 5 < len(sent.messages) < len(LONG)


def test_without_one_the_provider_is_believed_and_asked_once_more() -> None:
    backend = Remote(most=300)
    reply = remote(backend, Knows(2000, counts=False)).chat("far:m", LONG, max_tokens=50)
    first, second = backend.requests
    assert len(first.messages) == len(LONG)
    assert len(second.messages) < len(LONG)
    assert [type(attempt.error) for attempt in reply.attempts] == [PromptTooLongError, type(None)]


def test_a_stream_is_asked_for_once_more_before_its_first_piece() -> None:
    backend = Remote(most=300)
    client = remote(backend, Knows(2000, counts=False))
    stream = client.stream("far:m", LONG, max_tokens=50)
    assert "".join(delta.text for delta in stream) == "Hello world"
    first, second = backend.requests
    assert len(second.messages) < len(first.messages) == len(LONG)
    assert first.stream
    assert second.stream


def test_so_it_is_with_asyncio() -> None:
    backend = Remote(most=300)
    plugin = plugin_with(locality=Locality.LOCAL, far=backend)
    knows = Knows(2000, counts=False)

    async def run() -> tuple[str, str]:
        async with AsyncClient(
            discover=False, plugins=[plugin, knows], truncation="sliding_window"
        ) as client:
            whole = await client.chat("far:m", LONG, max_tokens=50)
            stream = client.stream("far:m", LONG, max_tokens=50)
            return whole.text, "".join([delta.text async for delta in stream])

    assert asyncio.run(run()) == ("Hello world", "Hello world")
    sizes = [len(request.messages) for request in backend.requests]
    assert sizes == [len(LONG), sizes[1]] * 2
    assert sizes[1] < len(LONG)


def test_what_must_be_kept_is_sent_where_only_the_bound_is_too_high() -> None:
    """Two thousand bytes in the last question are no two thousand tokens."""
    backend = Remote(most=400)
    chat = [*LONG[:-1], ChatMessage.user("word " * 390)]
    remote(backend, Knows(1000, counts=False)).chat("far:m", chat, max_tokens=50)
    first, second = backend.requests
    assert [message.role for message in second.messages] == [Role.SYSTEM, Role.USER]
    assert len(first.messages) == len(chat)


def test_a_block_of_turns_leaves_the_beginning_alone_for_some_turns() -> None:
    backend = measuring(200)
    settings = Settings(truncation=TruncationStrategy.SLIDING_WINDOW, truncation_block=4)
    client = Client(discover=False, plugins=[plugin_with(one=backend)], settings=settings)
    for end in range(20, 40, 2):
        client.chat("one:m", [*LONG[: end + 1], LONG[-1]], max_tokens=50)
    heads = [request.messages[1] for request in backend.requests]
    changes = sum(one is not other for one, other in pairwise(heads))
    assert 1 <= changes <= 3
    assert len(backend.requests) == 10


def test_a_provider_that_still_refuses_is_believed_as_well() -> None:
    backend = Remote(most=1)
    with pytest.raises(BadRequestError):
        remote(backend, Knows(2000, counts=False)).chat("far:m", LONG, max_tokens=50)
    assert len(backend.requests) == 2


def test_an_unknown_window_changes_nothing() -> None:
    backend = Remote(most=10_000)
    plugin = plugin_with(locality=Locality.LOCAL, far=backend)
    client = Client(discover=False, plugins=[plugin], truncation="sliding_window")
    client.chat("far:m", LONG)
    assert len(backend.requests[0].messages) == len(LONG)


# -- A server on this machine that counts ------------------------------------------------------------


@dataclass
class CountingServer(Remote):
    """A server that says how much it takes, and counts words when asked."""

    window: int = 150
    counted: list[int] = field(default_factory=list)
    broken: bool = False

    def list_models(self) -> list[ModelCard]:
        return [ModelCard(name="served", context_window=self.window)]

    async def alist_models(self) -> list[ModelCard]:
        return self.list_models()

    def count_tokens(self, request: ChatRequest) -> int:
        if self.broken:
            raise ServerError("out of order", status=500)
        self.counted.append(len(request.messages))
        return sum(len(message.text.split()) for message in request.messages)

    async def acount_tokens(self, request: ChatRequest) -> int:
        return self.count_tokens(request)

    def check_health(self) -> None: ...

    async def acheck_health(self) -> None: ...


def near(backend: CountingServer) -> dict[str, Any]:
    plugin = plugin_with(locality=Locality.LOCAL, far=backend)
    return {"discover": False, "plugins": [plugin], "truncation": "sliding_window"}


def test_a_server_on_this_machine_counts_before_anything_is_sent() -> None:
    backend = CountingServer()
    reply = Client(**near(backend)).chat("far:m", LONG, max_tokens=10)
    [sent] = backend.requests
    words = [len(message.text.split()) for message in sent.messages]
    assert 140 - 20 < sum(words) <= 140
    assert len(backend.counted) <= 7
    assert len(reply.attempts) == 1


def test_so_it_does_with_asyncio_and_in_streams() -> None:
    backend = CountingServer()

    async def run() -> None:
        async with AsyncClient(**near(backend)) as client:
            await client.chat("far:m", LONG, max_tokens=10)
            stream = client.stream("far:m", LONG, max_tokens=10)
            assert [delta async for delta in stream]

    asyncio.run(run())
    first, second = backend.requests
    assert first.messages == second.messages != tuple(LONG)


def test_a_chat_that_fits_by_its_bytes_is_not_counted() -> None:
    backend = CountingServer(window=10_000)
    Client(**near(backend)).chat("far:m", LONG[-3:], max_tokens=10)
    assert backend.counted == []


def test_a_server_that_cannot_count_at_the_moment_is_sent_the_chat() -> None:
    backend = CountingServer(most=10_000, broken=True)
    Client(**near(backend)).chat("far:m", LONG, max_tokens=10)
    assert len(backend.requests[0].messages) == len(LONG)


def test_one_question_that_is_too_long_for_the_server() -> None:
    backend = CountingServer()
    with pytest.raises(ContextOverflowError, match="the last question alone"):
        Client(**near(backend)).chat("far:m", "word " * 300, max_tokens=10)
    assert backend.requests == []


def test_a_server_elsewhere_is_not_asked_to_count() -> None:
    backend = CountingServer(most=10_000)
    plugin = plugin_with(locality=Locality.PUBLIC, far=backend)
    client = Client(
        discover=False, plugins=[plugin], truncation="sliding_window",
        prices={"far:m": Price(input=Decimal(0), output=Decimal(0))},
    )  # fmt: skip
    client.chat("far:m", LONG, max_tokens=10)
    assert backend.counted == []
