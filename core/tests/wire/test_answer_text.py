"""Stop texts and tool calls that are read out of an answer's text."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason, Usage
from andon.messages import ToolCall
from andon.wire.answer_text import AnswerText, without_prefix

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
END = ChatDelta(finish_reason=FinishReason.STOP, raw_finish_reason="eos", usage=Usage(3, 4))


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(st.lists(st.integers(0, 500)))
def test_however_the_text_is_cut_the_calls_are_the_same(cuts: list[int]) -> None:
    text, reader, answer = f"Let me see. {CALL} {CALL}", AnswerText(calls=True), Answer()
    for delta in [*map(ChatDelta, pieces(text, cuts)), END]:
        for new in reader.read([delta]):
            answer.append(new)
    message = answer.message()
    assert message.text.strip() == "Let me see."
    written = '{"city":"Oslo"}'
    assert message.tool_calls == (
        ToolCall("call_0", "get_weather", written), ToolCall("call_1", "get_weather", written),
    )  # fmt: skip
    assert answer.finish_reason is FinishReason.TOOL_CALLS


@given(st.lists(st.integers(0, 500)))
def test_however_the_text_is_cut_it_stops_at_the_same_place(cuts: list[int]) -> None:
    reader = AnswerText(("\nUser:", "</s>"))
    deltas = reader.read([*map(ChatDelta, pieces("Hello\nUs\nUser: more</s>", cuts)), END])
    assert "".join(delta.text for delta in deltas) == "Hello\nUs"
    assert deltas[-1] == END


def test_text_comes_at_once() -> None:
    reader = AnswerText(("</s>",), calls=True)
    assert reader.read([ChatDelta("Hello ")]) == [ChatDelta("Hello ")]
    assert reader.read([ChatDelta("wor<")]) == [ChatDelta("wor")]
    assert reader.read([END]) == [ChatDelta("<"), END]


def test_a_call_that_is_none_stays_text() -> None:
    text = "<tool_call>{no JSON}</tool_call>"
    deltas = AnswerText(calls=True).read([ChatDelta(text), END])
    assert "".join(delta.text for delta in deltas) == text
    assert deltas[-1].finish_reason is FinishReason.STOP


def test_an_answer_that_was_cut_short_says_so() -> None:
    last = ChatDelta(CALL, finish_reason=FinishReason.LENGTH)
    deltas = AnswerText(calls=True).read([last])
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert deltas[0].tool_calls


def test_a_prefix_that_is_repeated() -> None:
    whole = ChatDelta("The capital is Paris.", finish_reason=FinishReason.STOP)
    assert without_prefix([whole], "The capital ")[0].text == "is Paris."
    # The server may have trimmed what it repeats.
    assert without_prefix([whole], "The capital is Paris.  ")[0].text == ""
    assert without_prefix([whole], "Another") == [whole]
    assert without_prefix([], "x") == []
