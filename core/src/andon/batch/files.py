"""Files of a batch: lines that are appended, and are on the disk when that is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

#: How a file is opened, or made, so that what is written stands at its end.
APPENDING = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


def write_all(file: int, data: bytes) -> None:
    """Write, in as many pieces as it takes.

    :param file: its descriptor.
    :param data: what is written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(path: Path) -> None:
    """See to it that a file's name is on the disk as well.

    :param path: the file.
    """
    if sys.platform == "win32":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Read a file's lines, each with its number, from 1.

    :param path: the file.
    """
    with path.open("rb") as lines:
        yield from enumerate(lines, 1)
