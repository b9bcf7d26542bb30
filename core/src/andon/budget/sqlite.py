"""A ledger in a file: safe across threads, processes and ``kill -9``."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from andon.budget.ledger import Balance, Decision, Hold, Spending, refusing
from andon.errors import LedgerError, SettingsError

#: Seconds to wait for other processes that are writing at the same moment.
BUSY_SECONDS = 10.0

#: Seconds for which single requests are kept; balances are kept for ever.
KEEP_SECONDS = 400 * 24 * 3600.0

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS holds (
    id TEXT PRIMARY KEY,
    amount INTEGER NOT NULL,
    settled INTEGER,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    backend TEXT NOT NULL,
    model TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS charges (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    hold TEXT NOT NULL REFERENCES holds (id) ON DELETE CASCADE,
    PRIMARY KEY (account, period, hold)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS charges_by_hold ON charges (hold);
CREATE INDEX IF NOT EXISTS open_holds ON holds (expires) WHERE settled IS NULL;
CREATE TABLE IF NOT EXISTS balances (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (account, period)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS marks (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (account, period, mark)
) WITHOUT ROWID, STRICT;
"""

_SPENT = "CASE WHEN settled IS NOT NULL THEN settled WHEN expires <= :now THEN amount ELSE 0 END"
_HELD = "CASE WHEN settled IS NULL AND expires > :now THEN amount ELSE 0 END"


class SQLiteLedger:
    """A ledger in an SQLite file, which other threads and processes may use at the same time.

    What has been reserved or settled survives the death of the process at any moment. (After a
    loss of power the last moments may be missing; the file is whole.)

    :param path: the file; it and its folder are made at the first use where they are missing.
    """

    waits = True

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        self._ready = False

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self._path)!r})"

    def reserve(self, hold: Hold) -> Decision:
        """Hold an amount; see :meth:`andon.budget.Ledger.reserve`."""
        with self._failing(), self._writing() as connection:
            if connection.execute("SELECT 1 FROM holds WHERE id = ?", (hold.id,)).fetchone():
                return Decision()
            used = [
                self._used(connection, account, period) + hold.amount
                for account, period, _ in hold.charges
            ]
            refused = refusing(hold, used)
            if refused is not None:
                return Decision(refused)
            connection.execute(
                "INSERT INTO holds VALUES (?, ?, NULL, ?, ?, ?, ?)",
                (hold.id, hold.amount, hold.created, hold.expires, hold.backend, hold.model),
            )
            for account, period, _ in hold.charges:
                key = (account, period)
                connection.execute("INSERT INTO charges VALUES (?, ?, ?)", (*key, hold.id))
                connection.execute(
                    "INSERT INTO balances VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET used = used + excluded.used",
                    (*key, hold.amount),
                )
            return Decision(None, tuple(used))

    def settle(self, hold_id: str, amount: int) -> None:
        """Replace a hold; see :meth:`andon.budget.Ledger.settle`."""
        with self._failing(), self._writing() as connection:
            row = connection.execute(
                "SELECT amount FROM holds WHERE id = ? AND settled IS NULL", (hold_id,)
            ).fetchone()
            if row is None:
                return
            connection.execute("UPDATE holds SET settled = ? WHERE id = ?", (amount, hold_id))
            connection.execute(
                "UPDATE balances SET used = used + ? WHERE (account, period) IN"
                " (SELECT account, period FROM charges WHERE hold = ?)",
                (amount - row[0], hold_id),
            )

    def balance(self, account: str, period: str, now: float) -> Balance:
        """Return what an account's period has cost; see :meth:`andon.budget.Ledger.balance`."""
        with self._failing():
            # In one statement, so that both numbers are of one moment.
            used, held = (
                self._connection()
                .execute(
                    "SELECT (SELECT used FROM balances WHERE account = :account"
                    " AND period = :period), SUM(amount)"
                    # By the few holds that are open, and not by all that the period ever had.
                    " FROM holds INDEXED BY open_holds CROSS JOIN charges ON hold = id"
                    " WHERE settled IS NULL AND expires > :now"
                    " AND account = :account AND period = :period",
                    {"account": account, "period": period, "now": now},
                )
                .fetchone()
            )
            return Balance((used or 0) - (held or 0), held or 0)

    def balances(self, period: str, now: float) -> Mapping[str, Balance]:
        """Return the balance of every account; see :meth:`andon.budget.Ledger.balances`."""
        with self._failing():
            accounts = self._connection().execute(
                "SELECT account FROM balances WHERE period = ? ORDER BY account", (period,)
            )
            return {name: self.balance(name, period, now) for (name,) in accounts.fetchall()}

    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        """Return what each model cost; see :meth:`andon.budget.Ledger.spending`."""
        with self._failing():
            rows = self._connection().execute(
                f"SELECT period, backend, model, COUNT(*), SUM({_SPENT}), SUM({_HELD})"  # noqa: S608
                " FROM charges JOIN holds ON id = hold"
                " WHERE account = :account AND period >= :first"
                " GROUP BY period, backend, model ORDER BY period, backend, model",
                {"account": account, "first": first, "now": now},
            )
            return [
                Spending(
                    period=period,
                    backend=backend,
                    model=model,
                    requests=requests,
                    settled=settled,
                    held=held,
                )
                for period, backend, model, requests, settled, held in rows
            ]

    def mark(self, account: str, period: str, mark: str) -> bool:
        """Set a mark; see :meth:`andon.budget.Ledger.mark`."""
        with self._failing(), self._writing() as connection:
            changed = connection.execute(
                "INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", (account, period, mark)
            )
            return changed.rowcount > 0

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            connections, self._open = self._open, []
            self._local = threading.local()
        for connection in connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Any thread may close it, but only its own uses it.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                with self._lock:
                    if not self._ready:
                        self._prepare(connection)
                        self._ready = True
                    self._open.append(connection)
            except BaseException:
                # Asked again, it must not be taken for one that can be used.
                connection.close()
                raise
            self._local.connection = connection
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        # Taken at once: a transaction that begins by reading could find, when it comes to write,
        # that another process was faster, and would have to start anew.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"the ledger {str(self._path)!r} cannot be used: {error}; spending would not be "
                "counted, so nothing was sent"
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _write_ahead(connection)
        connection.execute("BEGIN IMMEDIATE")
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer andon (format {version})")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute(
            "DELETE FROM holds WHERE settled IS NOT NULL AND created < ?",
            (time.time() - KEEP_SECONDS,),
        )
        connection.execute("COMMIT")

    @staticmethod
    def _used(connection: sqlite3.Connection, account: str, period: str) -> int:
        row = connection.execute(
            "SELECT used FROM balances WHERE account = ? AND period = ?", (account, period)
        ).fetchone()
        return 0 if row is None else int(row[0])


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let others read while one writes; the file remembers it."""
    for _ in range(20):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # The only statement that does not wait for another process; so wait by another one.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return


def open_sqlite(url: str) -> SQLiteLedger:
    """Open the ledger of a URL: ``sqlite:///relative/file.db`` or ``sqlite:////absolute/file.db``.

    :raises SettingsError: it is no such URL.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or parts.netloc or not path:
        raise SettingsError(
            f"a ledger file is named as sqlite:///spend.db, or sqlite:////folder/spend.db, "
            f"not {url!r}"
        )
    return SQLiteLedger(Path(path).expanduser())


def default_url(environment: Mapping[str, str]) -> str:
    """Return the URL of the user's own ledger, where the command line keeps what it spends.

    :param environment: the environment variables.
    """
    base = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return f"sqlite:///{Path(base).expanduser()}/andon/spend.db"
