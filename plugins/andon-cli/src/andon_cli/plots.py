"""Bars for the terminal."""

from __future__ import annotations

import sys

from andon_cli.terminal import is_terminal, width

#: How wide the longest bar is at most, in columns.
_MOST = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def room_for_bars(beside: int) -> int:
    """Return how wide the longest bar may be.

    :param beside: columns that are taken beside it.
    """
    room = min(_MOST, width() - beside) if is_terminal(sys.stdout) else _MOST
    return max(room, 1)


def bar(share: float, room: int) -> str:
    """Return a bar; what is not nothing is seen.

    :param share: of the longest bar, from 0 to 1.
    :param room: how wide that is.
    """
    eighths = max(int(share * room * 8), 1) if share else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
