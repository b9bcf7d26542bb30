"""Markdown on a terminal: what is on the screen in the end, however it arrived."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon_cli.markdown import LiveMarkdown


class Screen:
    """A terminal, as far as answers need one: what is above its top cannot be changed."""

    def __init__(self, height: int) -> None:
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.height = height

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b\[[\d;]*m|.", text, re.DOTALL):
            self._obey(part)

    def _obey(self, part: str) -> None:
        if part == "\n":
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif part == "\r":
            self.column = 0
        elif part.endswith("A") and part[0] == "\x1b":
            top = max(0, len(self.lines) - self.height)
            self.row = max(top, self.row - int(part[2:-1]))
        elif part == "\x1b[J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif part[0] != "\x1b":
            line = self.lines[self.row]
            self.lines[self.row] = line[: self.column] + part + line[self.column + 1 :]
            self.column += 1


def shown(pieces: list[str], monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> Screen:
    with monkeypatch.context() as patched:
        patched.setenv("COLUMNS", str(columns))
        patched.setenv("LINES", str(lines))
        patched.setenv("TERM", "xterm-256color")
        out = io.StringIO()
        live = LiveMarkdown(out)
        for piece in pieces:
            live.add(piece)
            live.paint()
        live.end()
    screen = Screen(lines)
    screen.write(out.getvalue())
    return screen


words = st.sampled_from(
    "a word `code` **bold** *em* <b>html</b> [x](http://y) a_b_c 漢字 long-winded | \\* ~~no~~".split()
)
sentence = st.lists(words, min_size=1, max_size=12).map(" ".join)
block = st.one_of(
    sentence,
    st.lists(sentence, min_size=1, max_size=3).map("\n".join),
    st.integers(1, 3).flatmap(lambda n: sentence.map(lambda text: f"{'#' * n} {text}")),
    st.lists(sentence, min_size=1, max_size=4).map(lambda rows: "\n".join(f"- {r}" for r in rows)),
    st.lists(sentence, min_size=1, max_size=3).map(lambda rows: "\n".join(f"> {r}" for r in rows)),
    st.lists(sentence, max_size=4).map(lambda rows: "\n".join(["```python", *rows, "```"])),
    st.lists(sentence, max_size=3).map(
        lambda rows: "\n".join(["| a | b |", "|---|---|", *(f"| {r} | 1 |" for r in rows)])
    ),
    st.just("[x]: http://e"),
    st.just("---"),
)
documents = st.lists(block, max_size=6).map("\n\n".join)


@given(documents, st.data())
def test_it_looks_the_same_however_it_arrives(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    columns = data.draw(st.integers(20, 120))
    with pytest.MonkeyPatch.context() as patch:
        whole = shown([text], patch, columns, 1000).lines
        assert shown(pieces, patch, columns, 1000).lines == whole
        # A column is left free, so that no terminal begins a new line by itself.
        assert all(len(line) < columns for line in whole)
        shown(pieces, patch, columns, data.draw(st.integers(1, 12)))


def test_long_blocks_scroll_away_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line {number}" for number in range(50)]
    text = "\n".join(["```", *lines, "```", "", "after it"])
    screen = shown(list(text), monkeypatch, 80, 10)
    assert screen.lines == [*lines, "", "after it", ""]


def test_what_looks_like_html_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<think>\n\nA <b>tag</b>, <user:one>, and &amp;.\n\n<div>\nx\n</div>"
    lines = shown([text], monkeypatch, 80, 40).lines
    assert lines == ["<think>", "", "A <b>tag</b>, <user:one>, and &.", "", "<div> x </div>", ""]


def test_links_show_where_they_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    [line, _] = shown(["see [this](https://x.example)"], monkeypatch, 80, 40).lines
    assert line == "see this (https://x.example)"


def test_prose_is_no_wider_than_one_can_read_and_code_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{'word ' * 60}\n\n```\n{'x' * 150}\n```"
    lines = shown([text], monkeypatch, 160, 40).lines
    assert max(map(len, lines[:-2])) <= 100
    assert lines[-2] == "x" * 150


def test_code_has_no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(["```python\ndef f():\n    return 1\n```"], monkeypatch, 80, 40).lines
    assert lines == ["def f():", "    return 1", ""]


def test_only_what_has_changed_is_written_again() -> None:
    out = io.StringIO()
    live = LiveMarkdown(out)
    for word in ["One ", "two ", "three", ".\n\nFour"]:
        live.add(word)
        live.paint()
    assert out.getvalue() == "One two three.\n\nFour"
