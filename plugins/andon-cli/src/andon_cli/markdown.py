"""Markdown on a terminal, while it arrives.

A block that is complete is written once, and scrolls away like any other output. Only the last
block is written again as it grows, and of it only the lines that have changed.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from typing import TYPE_CHECKING, ClassVar, TextIO

from markdown_it import MarkdownIt
from rich.console import Console
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax
from rich.theme import Theme

from andon_cli.terminal import width

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

#: Lines of prose are not longer than this, in columns; code and tables are as wide as they need.
_PROSE = 100

_WIDE = frozenset({"fence", "code_block", "table_open"})

#: No colour that a light or a dark background could hide.
_THEME = Theme(
    {
        "markdown.block_quote": "dim",
        "markdown.code": "cyan",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.hr": "dim",
        "markdown.item.bullet": "dim",
        "markdown.item.number": "dim",
        "markdown.link": "underline",
        "markdown.link_url": "dim",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_TRAILING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")


class _Heading(Heading):
    """A heading as text: neither boxed nor centred."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _CodeBlock(CodeBlock):
    """Code that can be copied: no margin beside it, and the terminal's own colours."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            str(self.text).rstrip(),
            self.lexer_name,
            theme="ansi_dark",
            background_color="default",
            word_wrap=True,
        )


class _Markdown(Markdown):
    """Markdown of which nothing is lost: what looks like HTML is text, and links show where to."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _CodeBlock,
        "code_block": _CodeBlock,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        self.markup = text
        self.parsed = _parser().parse(text)


class LiveMarkdown:
    """Writes Markdown to a terminal, piece by piece.

    :param out: the terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        #: What has arrived of blocks that may still grow.
        self._open = ""
        #: The lines of the last block as they are on the screen; the cursor ends the last one.
        self._shown: list[str] = []
        #: Lines of the last block that have left the screen and can no longer be changed.
        self._gone = 0
        #: Whether a blank line is due before the next block, and whether the last one had one.
        self._gap = self._had_gap = False

    def add(self, text: str) -> None:
        """Take a piece; :meth:`paint` shows it."""
        self._open += text

    def paint(self) -> None:
        """Show what has arrived."""
        *complete, last = _blocks(self._open)
        for block in complete:
            self._show(block)
            self._settle()
        self._open = last
        self._show(last)

    def end(self) -> None:
        """Show all, and end the last line."""
        self.paint()
        if self._shown:
            self._out.write("\n")
            self._out.flush()

    def _show(self, block: str) -> None:
        lines = _rendered(block)
        if not lines and not self._gone:
            self._take_back()
            return
        if not self._shown and not self._gone:
            self._out.write("\n" if self._gap else "")
            self._gap, self._had_gap = False, self._gap
        self._replace(lines[self._gone :])

    def _take_back(self) -> None:
        """Show nothing of the last block: what it began with has turned out to be a mark."""
        if self._shown:
            up = len(self._shown) - 1 + self._had_gap
            self._out.write("\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J")
            self._shown, self._gap = [], self._had_gap

    def _replace(self, lines: list[str]) -> None:
        """Put other lines in the place of those that are shown."""
        old, same = self._shown, 0
        while same < min(len(old), len(lines)) and old[same] == lines[same]:
            same += 1
        if same == len(lines) < len(old):
            # Nothing follows what stays, and the cursor must end up behind its last line.
            same = max(0, same - 1)
        self._out.write(_difference(old[same:], lines[same:], bool(same)))
        self._out.flush()
        room = max(shutil.get_terminal_size().lines - 1, 1)
        self._gone += max(0, len(lines) - room)
        self._shown = lines[-room:]

    def _settle(self) -> None:
        """Leave the last block as it is; another one begins below."""
        if self._shown:
            self._out.write("\n")
        self._gap = self._gap or bool(self._shown or self._gone)
        self._shown, self._gone = [], 0


def _difference(old: list[str], new: list[str], below: bool) -> str:
    """Return what turns lines into others, with the cursor at the end of the last one.

    :param old: the lines that have changed, as they are on the screen.
    :param new: what they shall be.
    :param below: whether there are lines above them that stay.
    """
    if not old:
        return ("\n" if new and below else "") + "\n".join(new)
    if len(old) == 1 and new and new[0].startswith(old[0]):
        return "\n".join([new[0].removeprefix(old[0]), *new[1:]])
    up = f"\x1b[{len(old) - 1}A" if len(old) > 1 else ""
    return f"\r{up}\x1b[J" + "\n".join(new)


def _blocks(text: str) -> list[str]:
    """Return the blocks of a text; the last one may still grow."""
    starts = [
        token.map[0]
        for token in _parser().parse(text)
        if token.level == 0 and token.nesting >= 0 and token.map is not None
    ]
    lines = text.splitlines(keepends=True)
    ends = [*starts[1:], len(lines)]
    first = [0, *starts[1:]]
    return ["".join(lines[a:b]) for a, b in zip(first, ends, strict=False)] or [text]


def _rendered(block: str) -> list[str]:
    """Return the lines of a block, with their styles."""
    if not block.strip():
        return []
    tokens = _parser().parse(block)
    room = width() - 1
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=room if tokens and tokens[0].type in _WIDE else min(room, _PROSE),
        theme=_THEME,
        highlight=False,
        legacy_windows=False,
        no_color=bool(os.environ.get("NO_COLOR")),  # weights and the layout remain
    )
    with console.capture() as captured:
        console.print(_Markdown(block))
    lines = [_TRAILING.sub(r"\1", line) for line in captured.get().split("\n")]
    written = [number for number, line in enumerate(lines) if _STYLE.sub("", line).strip()]
    return lines[written[0] : written[-1] + 1] if written else []


def _parser() -> MarkdownIt:
    parser = MarkdownIt().enable(["strikethrough", "table"])
    # References may be defined after they were shown, and a definition itself would be lost.
    return parser.disable(["html_block", "html_inline", "autolink", "reference"])
