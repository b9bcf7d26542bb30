"""Truncated chats as a local model gets them: the prompt fits, by the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon import ChatMessage, Client, ContextOverflowError, Role

pytest.importorskip("llama_cpp")

WINDOW = 256


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(discover=True, endpoints={"llama-cpp": {"n_ctx": WINDOW}}) as client:
        yield client


@st.composite
def chats(draw: st.DrawFn) -> list[ChatMessage]:
    said = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    messages = [ChatMessage.system(draw(said))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 8))):
        messages += [ChatMessage.user(draw(said)), ChatMessage.assistant(draw(said))]
    return [*messages, ChatMessage.user(draw(said))]


@given(chats(), st.sampled_from(["sliding_window", "middle_out"]), st.integers(1, 32))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_the_prompt_of_a_truncated_chat_leaves_room_for_the_answer(
    client: Client, messages: list[ChatMessage], strategy: str, max_tokens: int
) -> None:
    try:
        reply = client.chat("llama-cpp:demo", messages, truncation=strategy, max_tokens=max_tokens)
    except ContextOverflowError:
        pinned = [m for m in messages if m.role is Role.SYSTEM] + messages[-1:]
        assert client.count_tokens("llama-cpp:demo", pinned).tokens > WINDOW - max_tokens
        return
    whole = client.count_tokens("llama-cpp:demo", messages).tokens
    assert reply.usage.input_tokens < WINDOW
    if whole < WINDOW:
        assert reply.usage.input_tokens == whole
    else:
        assert reply.usage.input_tokens <= WINDOW - max_tokens
