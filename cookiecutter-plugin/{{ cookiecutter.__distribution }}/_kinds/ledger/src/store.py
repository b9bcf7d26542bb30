"""Where the state is kept, one transaction at a time; put your own database in its place."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from andon import LedgerError, SettingsError

_EMPTY = '{"holds": {}, "marks": []}'


class Store:
    """A state as JSON, in a file that many threads and processes may use at the same time.

    :param path: the file; it is made at the first use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[dict[str, Any]]:
        """Give the state, and keep what is changed in it; all or nothing.

        :raises LedgerError: the file cannot be used.
        """
        try:
            with self._lock, closing(sqlite3.connect(self._path, isolation_level=None)) as file:
                file.execute("CREATE TABLE IF NOT EXISTS state (value TEXT)")
                file.execute("BEGIN IMMEDIATE")
                row = file.execute("SELECT value FROM state").fetchone()
                before = _EMPTY if row is None else row[0]
                state: dict[str, Any] = json.loads(before)
                yield state
                after = json.dumps(state)
                if after != before:
                    file.execute("DELETE FROM state")
                    file.execute("INSERT INTO state VALUES (?)", (after,))
                file.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger in {self._path} cannot be used: {error}") from error


def path_in(url: str) -> Path:
    """Return the file that a URL names, as ``{{ cookiecutter.name }}:///folder/spend.db``.

    :raises SettingsError: it names none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or not path:
        raise SettingsError(f"a ledger is {parts.scheme}:///FILE, and not {url!r}")
    return Path(path)
