"""Ctrl-C and SIGTERM: the first asks a command to end in order, the second ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_interrupt(say: Callable[[], None]) -> Iterator[Event]:
    """Give an event that the first interrupt sets; the second does what it always does.

    :param say: tells the user what the first one did.
    """
    stop = Event()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.set()
        restore()
        say()

    for number in _SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield stop
    finally:
        restore()
