"""Bounds that learn from reported usage stay sound, and come near."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    ChatDelta,
    ChatMessage,
    ChatRequest,
    Client,
    FinishReason,
    ImagePart,
    Locality,
    ModelProfile,
    Price,
    PromptTooLongError,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
    hookimpl,
)
from andon.context import Calibration, ChatCounter
from andon.testing import ScriptedBackend, plugin_with
from andon.tokens import Exactness

TOOL = Tool("look", "Looks around.", {"type": "object", "properties": {}})


def true_size(request: ChatRequest) -> int:
    """Count as a provider might: a frame for each message, and about four bytes a token."""
    tools = 300 * bool(request.tools)
    schema = len(str(request.response_format.schema or ""))
    texts = sum(4 + -(-len(message.text.encode()) // 4) for message in request.messages)
    return 20 + tools + schema + texts


def chat_of(sizes: list[int]) -> tuple[ChatMessage, ...]:
    roles = (ChatMessage.user, ChatMessage.assistant)
    return tuple(roles[n % 2](f"{n} " + "word " * size) for n, size in enumerate(sizes))


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=12), min_size=1, max_size=8),
    st.booleans(),
)
def test_the_bound_is_never_below_the_truth(chats: list[list[int]], tools: bool) -> None:
    calibration = Calibration()
    for sizes in chats:
        whole = chat_of(sizes)
        for end in range(1, len(whole) + 1):
            request = ChatRequest(
                model="m", messages=whole[:end], tools=(TOOL,) if tools and end % 3 else ()
            )
            bound = calibration.bound(request)
            assert bound.exactness is Exactness.UPPER_BOUND
            assert true_size(request) <= bound.tokens <= ChatCounter().request(request).tokens
            calibration.observe(request, true_size(request))


def test_a_chat_that_grows_is_bounded_by_what_was_reported() -> None:
    calibration = Calibration()
    chat = chat_of([400] * 20)
    request = ChatRequest(model="m", messages=chat)
    assert calibration.bound(request).tokens > 3 * true_size(request)
    calibration.observe(request, true_size(request))
    longer = ChatRequest(model="m", messages=(*chat, ChatMessage.user("And now?")))
    bound = calibration.bound(longer)
    assert true_size(longer) <= bound.tokens <= true_size(longer) + 120
    assert "reported" in bound.method


@pytest.mark.parametrize(
    "other",
    [
        {"tools": (TOOL,)},
        {"response_format": ResponseFormat("json_schema", {"type": "object"})},
        {"messages": (ChatMessage.user("something else " * 500),)},
    ],
)
def test_another_prompt_is_not_taken_for_a_longer_one(other: dict[str, Any]) -> None:
    calibration = Calibration()
    chat = chat_of([400] * 4)
    calibration.observe(ChatRequest(model="m", messages=chat), 10)
    request = ChatRequest(**{"model": "m", "messages": chat, **other})
    assert calibration.bound(request) == ChatCounter().request(request)


def test_a_provider_that_adds_to_prompts_raises_the_bound() -> None:
    calibration = Calibration()
    request = ChatRequest(model="m", messages=(ChatMessage.user("hi"),))
    calibration.observe(request, 5000)
    other = ChatRequest(model="m", messages=(ChatMessage.user("ho"),))
    assert calibration.bound(other).tokens >= 5000


def test_an_estimate_says_how_far_it_may_be_wrong() -> None:
    calibration = Calibration()
    first = ChatRequest(model="m", messages=chat_of([300]))
    assert calibration.estimate(first).exactness is Exactness.UPPER_BOUND
    for sizes in ([300], [5], [80, 80]):
        request = ChatRequest(model="m", messages=chat_of(sizes))
        calibration.observe(request, true_size(request))
    other = ChatRequest(model="m", messages=chat_of([200, 100, 50]))
    about = calibration.estimate(other)
    assert about.exactness is Exactness.ESTIMATE
    assert 0 < about.error < 1
    assert abs(about.tokens - true_size(other)) <= about.error * about.tokens


def test_images_teach_nothing_about_texts() -> None:
    calibration = Calibration()
    image = ChatMessage.user([TextPart("what is it?"), ImagePart("data:image/png;base64,AAAA")])
    calibration.observe(ChatRequest(model="m", messages=(image,)), 90)
    text = ChatRequest(model="m", messages=chat_of([50]))
    assert calibration.estimate(text).exactness is Exactness.UPPER_BOUND


# -- In a client ------------------------------------------------------------------------------------

WINDOW = 4_000


class Counting(ScriptedBackend):
    """A provider that reports true sizes, and refuses what is longer than its window."""

    def stream(self, request: ChatRequest, timeout: float | None) -> Any:
        self.requests.append(request)
        size = true_size(request)
        if size > WINDOW:
            raise PromptTooLongError("too long", status=400)
        return iter([ChatDelta("ok", finish_reason=FinishReason.STOP, usage=Usage(size, 1))])


class Knows:
    @hookimpl
    def andon_model_profile(self, backend: str, model: str) -> ModelProfile:
        return ModelProfile(context_window=WINDOW)


def client_of(backend: ScriptedBackend, **settings: Any) -> Client:
    paid = plugin_with(locality=Locality.PUBLIC, far=backend)
    prices = {"far:m": Price(input=Decimal(100), output=Decimal(100))}
    return Client(discover=False, plugins=[paid, Knows()], prices=prices, **settings)


def test_a_chat_is_not_refused_while_there_is_money_for_it() -> None:
    """A bound by bytes is three times too high; what is known from before makes it near."""
    backend = Counting(measured=False)
    with client_of(backend, max_request_cost_usd="0.36", daily_budget_usd=2) as client:
        chat = [ChatMessage.user("word " * 200)]
        for _ in range(9):
            reply = client.chat("far:m", chat, max_tokens=100)
            chat += [reply.message, ChatMessage.user("word " * 200)]
    # A token costs a hundredth of a cent: by its bytes alone the last one would cost twice that.
    assert ChatCounter().request(backend.requests[-1]).tokens > 2 * 3_600


def test_what_was_learnt_truncates_before_anything_is_sent() -> None:
    backend = Counting(measured=False)
    choose = random.Random(1)
    with client_of(backend, truncation="sliding_window") as client:
        chat = [ChatMessage.system("be brief")]
        for turn in range(60):
            chat.append(ChatMessage.user(f"{turn} " + "word " * choose.randrange(100, 150)))
            reply = client.chat("far:m", chat, max_tokens=500)
            assert [attempt.error for attempt in reply.attempts] == [None]
            chat.append(reply.message)
    sizes = [true_size(request) for request in backend.requests]
    assert len(sizes) == 60
    assert max(sizes) <= WINDOW - 500
    # And it is no less than it must be: a turn has about 160 tokens.
    assert min(sizes[40:]) > WINDOW - 500 - 3 * 200
