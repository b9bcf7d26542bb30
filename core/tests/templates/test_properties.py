"""What holds for every format and every chat."""

from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.errors import ControlTokenError, TemplateError
from andon.messages import ChatMessage, Role
from andon.templates import ChatTemplateEngine, TemplateFormat, builtin, variants

ALL = [(name, variant) for name in TemplateFormat for variant in variants(name)]
TOKENS = sorted({t for pair in ALL for t in builtin(*pair).control_tokens} | {"<|fim_prefix|>"})
ENGINES = {pair: ChatTemplateEngine(*pair[:1], variant=pair[1]) for pair in ALL}
every_format = pytest.mark.parametrize("pair", ALL, ids=["-".join(pair) for pair in ALL])
few = settings(max_examples=15)

plain = st.text(alphabet="abc é日\n\t .,<>[]|#", min_size=1, max_size=20).filter(str.strip)
half = st.sampled_from(TOKENS).flatmap(
    lambda token: st.integers(1, len(token) - 1).map(lambda at: token[:at])
)
hostile = st.lists(plain | st.sampled_from(TOKENS) | half, min_size=1, max_size=4).map("".join)
roles = st.sampled_from([Role.SYSTEM, Role.USER, Role.ASSISTANT])


def chats(texts):
    """Return chats of the order that every format has."""
    return st.lists(texts, min_size=1, max_size=5).map(
        lambda said: [
            ChatMessage.assistant(text) if index % 2 else ChatMessage.user(text)
            for index, text in enumerate(said if len(said) % 2 else said[:-1])
        ]
    )


def disorder(texts):
    return st.lists(st.builds(ChatMessage, roles, texts), min_size=1, max_size=5)


@every_format
@given(messages=chats(hostile))
@few
def test_text_is_the_segments_and_content_is_never_control(pair, messages):
    engine = ENGINES[pair]
    rendered = engine.render(messages)
    control = "".join(s.text if s.control else "\0" for s in rendered.segments)

    assert "".join(segment.text for segment in rendered.segments) == rendered.text
    assert rendered.text == engine.apply(messages, control_tokens="verbatim")
    # The same chat with harmless texts has as many control tokens, one by one.
    harmless = [ChatMessage(message.role, f"x{i}") for i, message in enumerate(messages)]
    frame = engine.apply(harmless)
    for token in builtin(*pair).control_tokens:
        if token not in ("<think>", "</think>", "<tool_call>", "</tool_call>"):
            assert control.count(token) == frame.count(token)


@every_format
@given(messages=chats(hostile))
@few
def test_one_text_is_refused_or_holds_the_frames_tokens_only(pair, messages):
    engine = ENGINES[pair]
    try:
        text = engine.apply(messages)
    except ControlTokenError:
        return
    harmless = [ChatMessage(message.role, f"x{i}") for i, message in enumerate(messages)]
    frame = engine.apply(harmless)
    for token in builtin(*pair).control_tokens:
        if token not in ("<think>", "</think>", "<tool_call>", "</tool_call>"):
            assert text.count(token) == frame.count(token)


@every_format
@given(messages=disorder(plain))
@few
def test_no_message_is_dropped(pair, messages):
    for normalize in ("strict", "merge"):
        try:
            text = ENGINES[pair].render(messages, normalize=normalize).text
        except TemplateError:
            continue
        assert all(message.text.strip() in text for message in messages)


@every_format
@given(messages=disorder(plain))
@few
def test_folding_is_reported_when_it_happens_and_only_then(pair, messages):
    engine = ENGINES[pair]
    try:
        folded = engine.render(messages, normalize="merge")
    except TemplateError:
        return
    try:
        strict = engine.render(messages)
    except TemplateError:
        assert folded.normalizations
    else:
        assert folded == strict
        assert folded.normalizations == ()


@every_format
@given(messages=chats(plain), begun=plain, rest=plain)
@few
def test_continuing_is_exact(pair, messages, begun, rest):
    engine = ENGINES[pair]
    begun, rest = begun.strip(), rest.rstrip()
    said = ChatMessage.assistant(begun + rest)
    if re.search(r"[<\[#]", begun):
        return

    open_prompt = engine.apply(
        [*messages, ChatMessage.assistant(begun)],
        continue_final_message=True,
        control_tokens="verbatim",
    )
    closed = engine.apply([*messages, said], False, control_tokens="verbatim")

    assert open_prompt.endswith(begun)
    assert closed.startswith(open_prompt + rest)


@every_format
@given(messages=chats(plain))
@few
def test_rendering_changes_nothing_and_repeats(pair, messages):
    before = copy.deepcopy(messages)

    assert ENGINES[pair].render(messages) == ENGINES[pair].render(tuple(messages))
    assert messages == before


@every_format
@given(messages=chats(plain))
@few
def test_the_fast_way_writes_what_the_long_way_writes(pair, messages):
    engine = ENGINES[pair]

    assert engine.apply(messages, control_tokens="verbatim") == engine.render(messages).text
