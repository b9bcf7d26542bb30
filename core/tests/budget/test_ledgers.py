"""Every ledger keeps the same promises: a model that just remembers stands beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import settings

from andon import Client, LedgerError, SettingsError
from andon.budget import Ledger, MemoryLedger
from andon.budget.sqlite import SQLiteLedger, open_sqlite
from andon.testing import LedgerConformance, LedgerMachine

DAY = "2026-01-31"


class TestMemoryLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return MemoryLedger()


class TestSQLiteLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        ledger = SQLiteLedger(tmp_path / "deep" / "spend.db")
        yield ledger
        ledger.close()


class SQLiteMachine(LedgerMachine):
    def open(self) -> Ledger:
        return SQLiteLedger(self.folder / "spend.db")


class MemoryMachine(LedgerMachine):
    """The same in memory, which has nothing to restart."""

    def open(self) -> Ledger:
        return getattr(self, "ledger", None) or MemoryLedger()


TestSQLiteMachine = SQLiteMachine.TestCase
TestSQLiteMachine.settings = settings(max_examples=25, stateful_step_count=30)
TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=50)


# -- Files -------------------------------------------------------------------------------------------


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    file = tmp_path / "spend.db"
    file.write_text("a diary, and no database at all; " * 100)
    with pytest.raises(LedgerError, match=r"spend\.db"), closing(SQLiteLedger(file)) as ledger:
        ledger.balance("all", DAY, 0)


def test_a_file_of_a_newer_andon_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "spend.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with closing(SQLiteLedger(file)) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerError, match="newer"):
                ledger.mark("all", DAY, "x")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://host/spend.db"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="sqlite:///spend"):
        open_sqlite(url)


def test_a_client_opens_and_closes_its_file(tmp_path: Path) -> None:
    with Client(discover=False, ledger=f"sqlite:///{tmp_path}/spend.db") as client:
        assert client.spent_today_usd == 0
    with Client(discover=False, ledger=f"sqlite:////{tmp_path}/spend.db") as client:
        client.breaker.record("0.5")
    with Client(discover=False, ledger=f"sqlite:////{tmp_path}/spend.db") as client:
        assert client.spent_today_usd == Decimal("0.5")
    assert (tmp_path / "spend.db").exists()
