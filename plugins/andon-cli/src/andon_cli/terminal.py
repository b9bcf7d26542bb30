"""What a stream can show: whether it is a terminal, styles, and text that is safe there."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

#: Control characters but tab and line feed; a terminal would obey them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person reads, or writes, at the stream's other end."""
    return stream.isatty()


def can_redraw(stream: TextIO) -> bool:
    """Return whether lines of the stream can be written again, as a screen's can."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_styled(stream: TextIO) -> bool:
    """Return whether colours and weights are wanted in the stream."""
    return can_redraw(stream) and not os.environ.get("NO_COLOR")


def style(
    text: str,
    stream: TextIO,
    *,
    fg: str | None = None,
    bold: bool | None = None,
    dim: bool | None = None,
) -> str:
    """Return text with a style, if the stream shows styles.

    :param text: the text.
    :param stream: where it is going.
    :param fg: its colour.
    :param bold: whether it is bold.
    :param dim: whether it is dim.
    """
    return click.style(text, fg=fg, bold=bold, dim=dim) if is_styled(stream) else text


def safe(text: str) -> str:
    """Return text with its control characters made visible.

    A model or a server could otherwise retitle the window, hide text or answer in the user's name.
    """
    if not _CONTROL.search(text):
        return text
    return _CONTROL.sub(lambda match: chr(_PICTURES.get(ord(match[0]), 0xFFFD)), text)


@contextmanager
def typing_kept() -> Iterator[None]:
    """Keep what is typed while nothing is asked, unseen and key for key, for the next prompt.

    Otherwise it would stand amid an answer, and its line ends would no longer be the enter key.
    """
    try:
        import termios

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError):  # not a terminal, or one of Windows
        yield
        return
    now = termios.tcgetattr(descriptor)
    now[0] &= ~termios.ICRNL
    now[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def wrapped(text: str, stream: TextIO) -> str:
    """Return a paragraph broken between words, if the stream is a terminal."""
    if not is_terminal(stream):
        return text
    import textwrap

    return textwrap.fill(text, width(), break_long_words=False, break_on_hyphens=False)


def width() -> int:
    """Return the columns of the terminal."""
    return shutil.get_terminal_size().columns
