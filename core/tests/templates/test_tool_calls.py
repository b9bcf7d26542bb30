"""Tool calls in a stream of text."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from andon.messages import ToolCall
from andon.templates import ToolCallParser


def parse(pieces):
    parser = ToolCallParser()
    found = [item for piece in pieces for item in parser.feed(piece)]
    return joined([*found, *parser.finish()])


def joined(items):
    """Return items with texts that touch put together."""
    result = []
    for item in items:
        if isinstance(item, str) and result and isinstance(result[-1], str):
            result[-1] += item
        else:
            result.append(item)
    return result


CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1, "b": "é"}}\n</tool_call>'


def test_text_passes_at_once():
    assert ToolCallParser().feed("Hello ") == ["Hello "]


def test_what_may_begin_a_call_waits():
    parser = ToolCallParser()

    assert parser.feed("a <tool") == ["a "]
    assert parser.feed("s>") == ["<tools>"]


def test_a_call_between_texts():
    assert parse([f"Let me see. {CALL} Done."]) == [
        "Let me see. ",
        ToolCall("call_0", "f", '{"a":1,"b":"é"}'),
        " Done.",
    ]


def test_parallel_calls_are_numbered():
    calls = [item for item in parse([f"{CALL}\n{CALL}"]) if isinstance(item, ToolCall)]

    assert [call.id for call in calls] == ["call_0", "call_1"]


def test_malformed_calls_come_back_as_text():
    for text in (
        "<tool_call>{broken</tool_call>",
        '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "f"}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {}}',
        "<tool_call>" + "[" * 5000 + "</tool_call>",
        "<tool_",
    ):
        assert parse([text]) == [text]


TEXTS = st.lists(
    st.sampled_from(
        [CALL, "<tool_call>", "</tool_call>", "<tool_call>{bad}</tool_call>", "<", "hi ", "\n"]
    )
    | st.text(max_size=8)
    | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3).map(
        lambda arguments: (
            f"<tool_call>{json.dumps({'name': 'f', 'arguments': arguments})}</tool_call>"
        )
    ),
    max_size=6,
).map("".join)


@given(TEXTS, st.lists(st.integers(0, 300), max_size=10))
def test_cutting_makes_no_difference(text, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]

    assert parse(pieces) == parse([text]) == parse(list(text))
