"""What is left out of a chat that is too long: whole turns, and never what the answer is about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    ChatMessage,
    ContextOverflowError,
    Role,
    ToolCall,
    Truncation,
    TruncationStrategy,
)
from andon.context import truncate

STRATEGIES = [TruncationStrategy.SLIDING_WINDOW, TruncationStrategy.MIDDLE_OUT]


@st.composite
def chats(draw: st.DrawFn) -> tuple[list[ChatMessage], list[int]]:
    """Draw chats as programs write them: instructions anywhere, loops of tool calls, odd starts."""
    messages: list[ChatMessage] = []
    if draw(st.booleans()):
        messages.append(ChatMessage.assistant("How can I help?"))
    for turn in range(draw(st.integers(1, 8))):
        for number in range(draw(st.integers(1, 2))):
            messages.append(ChatMessage.user(f"question {turn}.{number}"))
        if draw(st.booleans()):
            messages.append(ChatMessage.system(f"rule {turn}"))
        for step in range(draw(st.integers(0, 3))):
            names = [f"{turn}.{step}.{n}" for n in range(draw(st.integers(0, 2)))]
            calls = [ToolCall(name, "look", "{}") for name in names]
            messages.append(ChatMessage.assistant(f"step {turn}.{step}", calls))
            messages += [ChatMessage.tool("found", name) for name in names]
    costs = [draw(st.integers(1, 50)) for _ in messages]
    return messages, costs


def attempt(
    messages: Sequence[ChatMessage],
    costs: Sequence[int],
    limit: int,
    strategy: TruncationStrategy,
    block: int = 1,
) -> Truncation | None:
    try:
        return truncate(messages, costs, limit, strategy, block=block)
    except ContextOverflowError:
        return None


limits = st.integers(1, 800)
strategies = st.sampled_from(STRATEGIES)
blocks = st.integers(1, 4)


@given(chats(), limits, strategies, blocks)
def test_what_is_kept_fits_and_is_the_chat_without_whole_turns(
    chat: tuple[list[ChatMessage], list[int]],
    limit: int,
    strategy: TruncationStrategy,
    block: int,
) -> None:
    messages, costs = chat
    before = list(messages)
    kept = attempt(messages, costs, limit, strategy, block)
    assert messages == before
    last = max(place for place, message in enumerate(messages) if message.role is Role.USER)
    if kept is None:
        # A question in several messages is one.
        others = [p for p, m in enumerate(messages[:last]) if m.role is not Role.SYSTEM]
        asked = [p for p in others if messages[p].role is not Role.USER]
        first = asked[-1] + 1 if asked else 0
        pinned = [
            cost
            for place, (message, cost) in enumerate(zip(messages, costs, strict=True))
            if place >= first or message.role is Role.SYSTEM
        ]
        assert sum(pinned) > limit
        return
    assert kept.tokens == sum(costs) - kept.dropped_tokens <= limit
    places = [place for place in range(len(messages)) if place not in kept.dropped]
    assert all(
        message is messages[place] for message, place in zip(kept.messages, places, strict=True)
    )
    assert kept.dropped_tokens == sum(costs[place] for place in kept.dropped)
    assert set(range(last, len(messages))) <= set(places)
    dropped = [messages[place] for place in kept.dropped]
    assert all(message.role is not Role.SYSTEM for message in dropped)


@given(chats(), limits, strategies, blocks)
def test_no_result_without_its_call_and_no_call_without_its_results(
    chat: tuple[list[ChatMessage], list[int]],
    limit: int,
    strategy: TruncationStrategy,
    block: int,
) -> None:
    kept = attempt(*chat, limit, strategy, block)
    if kept is not None:
        calls = {call.id for message in kept.messages for call in message.tool_calls}
        assert calls == {m.tool_call_id for m in kept.messages if m.tool_call_id is not None}


@given(chats(), limits, strategies)
def test_what_is_kept_is_the_end_or_the_beginning_and_the_end(
    chat: tuple[list[ChatMessage], list[int]], limit: int, strategy: TruncationStrategy
) -> None:
    messages, _ = chat
    kept = attempt(*chat, limit, strategy)
    if kept is None or not kept.dropped:
        return
    others = [place for place, message in enumerate(messages) if message.role is not Role.SYSTEM]
    gone = [others.index(place) for place in kept.dropped]
    assert gone == list(range(gone[0], gone[-1] + 1))
    first = next(message for message in kept.messages if message.role is not Role.SYSTEM)
    if strategy is TruncationStrategy.SLIDING_WINDOW:
        assert gone[0] == 0
        assert first.role is Role.USER
    else:
        assert first.role is Role.USER or first is messages[others[0]]


@given(chats(), limits, strategies, blocks)
def test_truncating_again_changes_nothing(
    chat: tuple[list[ChatMessage], list[int]],
    limit: int,
    strategy: TruncationStrategy,
    block: int,
) -> None:
    messages, costs = chat
    kept = attempt(messages, costs, limit, strategy, block)
    if kept is not None:
        rest = [cost for place, cost in enumerate(costs) if place not in kept.dropped]
        again = truncate(kept.messages, rest, limit, strategy, block=block)
        assert (again.messages, again.dropped) == (kept.messages, ())


@given(chats(), limits, st.integers(0, 200), strategies, blocks)
def test_a_larger_window_never_keeps_less(
    chat: tuple[list[ChatMessage], list[int]],
    limit: int,
    more: int,
    strategy: TruncationStrategy,
    block: int,
) -> None:
    small = attempt(*chat, limit, strategy, block)
    large = attempt(*chat, limit + more, strategy, block)
    if small is not None:
        assert large is not None
        assert set(large.dropped) <= set(small.dropped)


def test_a_block_leaves_the_head_alone_for_some_turns() -> None:
    """Providers cache a prompt's beginning: it should not change with every question."""
    heads: list[ChatMessage] = []
    messages: list[ChatMessage] = [ChatMessage.system("rule")]
    for turn in range(60):
        messages += [ChatMessage.user(f"question {turn}"), ChatMessage.assistant("answer")]
        kept = truncate(
            messages, [10] * len(messages), 310, TruncationStrategy.SLIDING_WINDOW, block=5
        )
        heads.append(kept.messages[1])
    changes = sum(one is not other for one, other in pairwise(heads))
    assert 0 < changes <= 60 / 5


def test_an_error_instead_of_a_loss() -> None:
    messages = [ChatMessage.user("a"), ChatMessage.assistant("b"), ChatMessage.user("c")]
    with pytest.raises(ContextOverflowError, match=r"30 tokens.*truncated") as raised:
        truncate(messages, [10, 10, 10], 25, TruncationStrategy.ERROR, window=40)
    error = raised.value
    assert (error.input_tokens, error.window, error.reserve) == (30, 40, 15)


def test_what_must_be_kept_and_does_not_fit() -> None:
    messages = [ChatMessage.system("rule"), ChatMessage.user("a"), ChatMessage.user("b")]
    with pytest.raises(ContextOverflowError, match="the last question alone have 30 tokens"):
        truncate(messages, [10, 10, 10], 25, TruncationStrategy.MIDDLE_OUT)
