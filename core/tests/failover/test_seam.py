"""Where a delivered text is cut, and how what comes back is joined to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import SeamMismatch
from andon.failover.seam import Seam, is_periodic, safe_end, shifted, word_start
from andon.messages import ToolCall

#: Letters, spaces, marks that join, pictures of several characters, and beginnings of tags.
TEXT = st.text(st.sampled_from("ab .,\n\té漢👩‍🚀🇫🇷́<|/tool_[INST]"), max_size=60)


def pieces(text: str, cuts: list[int]) -> list[str]:
    """Return a text in pieces."""
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


def read(seam: Seam, parts: list[str], *, end: FinishReason | None = FinishReason.STOP) -> str:
    """Return what a seam lets through of an answer in pieces."""
    deltas = [ChatDelta(text=part) for part in parts]
    if end is not None:
        deltas.append(ChatDelta(finish_reason=end))
    return "".join(new.text for delta in deltas if (new := seam.feed(delta)) is not None)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Paris is", 8),
        ("Paris is ", 8),
        ("Paris is \n\n", 8),
        ("hello <|im_", 5),
        ("hello </tool_ca", 5),
        ("hello [INST", 5),
        ("a < b", 5),
        ("good \N{WOMAN}\N{ZERO WIDTH JOINER}", 4),
        ("good \N{REGIONAL INDICATOR SYMBOL LETTER F}", 4),
        ("Ame\N{COMBINING ACUTE ACCENT}", 3),
        ("", 0),
        ("   ", 0),
    ],
)
def test_a_text_is_cut_where_nothing_is_left_open(text: str, end: int) -> None:
    assert safe_end(text) == end


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("Paris is the cap", 12),
        ("Paris is the ", 12),
        ("Paris is\n\n  the", 8),
        ("Paris", 0),
        ("漢" * 100, 100),
        ("one " + "x" * 100, 104),
    ],
)
def test_the_last_word_begins_with_the_space_before_it(text: str, start: int) -> None:
    assert word_start(text) == start


@given(TEXT)
def test_no_cut_leaves_white_space_or_a_mark_at_the_end(text: str) -> None:
    for end in (safe_end(text), word_start(text)):
        assert 0 <= end <= len(text)
        assert text[:end] == text[:end].rstrip()
        assert safe_end(text[:end]) == end


@given(TEXT, TEXT, st.data())
def test_nothing_is_lost_or_doubled_wherever_the_answer_was_cut(
    delivered: str, rest: str, data: st.DataObject
) -> None:
    whole = delivered + rest
    cuts = data.draw(st.lists(st.integers(0, len(whole))))
    for cut in {0, word_start(delivered), safe_end(delivered)}:
        kept = delivered[:cut]
        # A text of at least so many characters may be echoed, and then an exact echo is dropped.
        if len(kept) >= 24 and whole[cut:].startswith(kept):
            continue
        seam = Seam(delivered[cut:], kept=kept)
        new = read(seam, pieces(whole[cut:], cuts))
        assert delivered + new == whole
        assert seam.joined


@given(st.text("abc ", min_size=24, max_size=60), st.text("xyz ", max_size=30), st.data())
def test_an_echo_of_all_that_was_delivered_is_dropped(
    kept: str, rest: str, data: st.DataObject
) -> None:
    kept += "!"
    cuts = data.draw(st.lists(st.integers(0, 100)))
    assert read(Seam(" w", kept=kept), pieces(f"{kept} w{rest}", cuts)) == rest


def test_a_short_or_repeated_beginning_is_no_echo() -> None:
    assert read(Seam("", kept="ha"), ["ha", " ha"]) == "ha ha"
    assert is_periodic("ab" * 20)
    assert not is_periodic("ab" * 20 + "c")
    assert read(Seam("", kept="ab" * 20), ["ab" * 20]) == "ab" * 20


def test_white_space_that_a_server_takes_away_is_no_difference() -> None:
    assert read(Seam(" the", kept="Paris is"), ["the", " capital"]) == " capital"


@given(st.text("ab", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
def test_another_text_is_refused(delivered: str, other: str) -> None:
    seam = Seam(delivered)
    if other.startswith(delivered):
        assert read(seam, [other]) == other[len(delivered) :]
    else:
        with pytest.raises(SeamMismatch):
            read(seam, [other])


def test_thoughts_and_calls_must_come_again_as_well() -> None:
    def seam() -> Seam:
        return Seam("So:", reasoning="hm, ", calls=[ToolCall("call_1", "add", '{"a": 1')])

    one = seam()
    assert one.feed(ChatDelta(reasoning="hm")) is None
    assert one.feed(ChatDelta(reasoning=", well")) == ChatDelta(reasoning="well")
    assert one.feed(ChatDelta(text="So:")) is None
    again = ToolCallDelta(0, "call_9", "add", '{"a"')
    assert one.feed(ChatDelta(tool_calls=(again,))) is None
    more = one.feed(ChatDelta(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)))
    assert more == ChatDelta(tool_calls=(ToolCallDelta(0, arguments="}"),))
    second = ToolCallDelta(1, "call_2", "add", "{}")
    assert one.feed(ChatDelta(tool_calls=(second,))) == ChatDelta(tool_calls=(second,))
    assert one.joined
    with pytest.raises(SeamMismatch, match="'mul' where 'add'"):
        seam().feed(ChatDelta(tool_calls=(ToolCallDelta(0, "x", "mul"),)))
    with pytest.raises(SeamMismatch, match="ended before"):
        seam().feed(ChatDelta(text="So:", finish_reason=FinishReason.STOP))


def test_an_answer_that_ends_too_soon_is_refused() -> None:
    with pytest.raises(SeamMismatch, match="ended before"):
        read(Seam("one two"), ["one"])


@pytest.mark.parametrize("delivered", ["one E", "one EN"])
def test_a_stop_text_that_began_in_what_was_delivered_ends_the_answer(delivered: str) -> None:
    # The target sees the whole stop text and leaves it out.
    seam = Seam(delivered[3:], kept="one", stop=["END"])
    assert read(seam, [" "]) == ""
    # The target sees half of it only.
    seam = Seam("", kept=delivered, stop=["END"])
    assert read(seam, ["END"[len(delivered) - 4 :], " two"], end=None) == ""
    assert seam.ended


@given(st.text("END x", max_size=12), st.text("END x", max_size=12), st.data())
def test_stop_texts_hold_for_the_joined_text(
    delivered: str, rest: str, data: st.DataObject
) -> None:
    if "END" in delivered or not delivered:
        return
    seam = Seam("", kept=delivered, stop=["END"])
    cuts = data.draw(st.lists(st.integers(0, len(rest))))
    new = read(
        seam, pieces(rest, cuts), end=None if "END" in delivered + rest else FinishReason.STOP
    )
    stopped = (delivered + rest).partition("END")[0]
    assert new == stopped[len(delivered) :]


def test_log_probabilities_of_delivered_tokens_come_once() -> None:
    seam = Seam(" the", kept="Paris is")
    logprobs = [TokenLogprob(" the", -0.1), TokenLogprob(" capital", -0.2)]
    assert seam.feed(ChatDelta(text=" the", logprobs=(logprobs[0],))) is None
    new = seam.feed(ChatDelta(text=" capital", logprobs=(logprobs[1],)))
    assert new is not None
    assert new.logprobs == (logprobs[1],)


def test_each_delivered_token_counts_once() -> None:
    usage = Usage(input_tokens=30, output_tokens=5, cached_input_tokens=25)
    moved = shifted(usage, 8)
    assert (moved.input_tokens, moved.output_tokens, moved.total_tokens) == (22, 13, 35)
    assert moved.cached_input_tokens == 22
    assert shifted(usage, 0) == usage
