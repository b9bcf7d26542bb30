from __future__ import annotations

import codecs
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from andon.stop_texts import StopScanner

stops = st.lists(st.text("ab<é^]-\\", min_size=1, max_size=4), max_size=4)


def scan(pieces: list[str], stop: list[str]) -> tuple[str, str | None]:
    scanner = StopScanner(stop)
    text = ""
    for piece in pieces:
        text += scanner.feed(piece)
        if scanner.found is not None:
            return text, scanner.found
    return text + scanner.finish(), None


def reference(text: str, stop: list[str]) -> tuple[str, str | None]:
    for end in range(len(text) + 1):
        ending = [s for s in stop if text[:end].endswith(s)]
        if ending:
            longest = max(ending, key=len)
            return text[: end - len(longest)], longest
    return text, None


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


@given(st.text("ab<é^]-\\", max_size=30), stops, st.lists(st.integers(0, 100)))
def test_the_result_does_not_depend_on_how_the_text_is_cut(text, stop, places):
    assert scan(cut(text, places), stop) == reference(text, stop)


@given(st.binary(max_size=30), st.lists(st.integers(0, 100)))
def test_bytes_decode_alike_however_they_are_cut(data, places):
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    text = "".join(decode(data[a:b]) for a, b in pairwise(bounds))
    assert text + decode(b"", True) == data.decode("utf-8", "replace")


@given(st.text("ab<é^]-\\", max_size=30), stops)
def test_nothing_is_held_back_that_cannot_become_a_stop_text(text, stop):
    scanner = StopScanner(stop)
    given_out = ""
    for character in text:
        given_out += scanner.feed(character)
        if scanner.found is not None:
            return
        held = text[len(given_out) : len(given_out) + len(scanner._held)]
        assert held == "" or any(s.startswith(held) for s in stop)


def test_a_beginning_that_leads_nowhere_is_delivered():
    assert scan(["<|im", "_st", "art"], ["<|im_end|>"]) == ("<|im_start", None)
    assert scan(["<|im", "_en"], ["<|im_end|>"]) == ("<|im_en", None)


def test_the_stop_text_that_is_complete_first_ends_the_answer():
    assert scan(["abcd"], ["abcd", "bc"]) == ("a", "bc")
    assert scan(["xabc"], ["abc", "c"]) == ("x", "abc")


def test_after_the_stop_nothing_is_delivered():
    scanner = StopScanner(["."])
    assert scanner.feed("a.b") == "a"
    assert scanner.feed("c") == scanner.finish() == ""
