"""Every ledger keeps the same promises: a model that just remembers stands beside it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from andon import Client, LedgerError, SettingsError
from andon.budget import Balance, Charge, Hold, Ledger, MemoryLedger
from andon.budget.sqlite import SQLiteLedger, open_sqlite
from andon.testing import LedgerConformance

DAY = "2026-01-31"
_numbers = itertools.count()


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


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, restart and let time pass in any order."""

    holds = Bundle("holds")
    LIMITS = {"all": 500, "team": 200}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.ledger: Ledger = self.open()
        self.now = 0.0
        self.granted: dict[str, Hold] = {}
        self.settled: dict[str, int] = {}

    def open(self) -> Ledger:
        return SQLiteLedger(Path(self.folder.name) / "spend.db")

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def used(self, account: str) -> int:
        return sum(
            self.settled.get(name, made.amount)
            for name, made in self.granted.items()
            if account in [charge.account for charge in made.charges]
        )

    @rule(
        target=holds,
        amount=st.integers(0, 150),
        accounts=st.sampled_from([("all",), ("all", "team"), ("team",)]),
        lease=st.sampled_from([1.0, 5.0, 1000.0]),
    )
    def reserve(self, amount: int, accounts: tuple[str, ...], lease: float) -> str:
        charges = tuple(Charge(name, DAY, self.LIMITS[name]) for name in accounts)
        made = Hold(
            id=str(next(_numbers)), amount=amount, charges=charges, expires=self.now + lease
        )
        full = [
            name for name in accounts if amount and self.used(name) + amount > self.LIMITS[name]
        ]
        decision = self.ledger.reserve(made)
        assert decision.refused == (full[0] if full else None)
        if not full:
            self.granted[made.id] = made
            assert decision.used == tuple(self.used(name) for name in accounts)
        return made.id

    @rule(name=holds, amount=st.integers(0, 200))
    def settle(self, name: str, amount: int) -> None:
        self.ledger.settle(name, amount)
        if name in self.granted:
            self.settled.setdefault(name, amount)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = self.open()

    @invariant()
    def everything_adds_up(self) -> None:
        for account in self.LIMITS:
            held = sum(
                made.amount
                for name, made in self.granted.items()
                if name not in self.settled
                and made.expires > self.now
                and account in [charge.account for charge in made.charges]
            )
            used = self.used(account)
            assert self.ledger.balance(account, DAY, self.now) == Balance(used - held, held)


class MemoryMachine(LedgerMachine):
    """The same in memory, which has nothing to restart."""

    def open(self) -> Ledger:
        return getattr(self, "ledger", None) or MemoryLedger()


TestSQLiteMachine = LedgerMachine.TestCase
TestSQLiteMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=50, deadline=None)


# -- Files -------------------------------------------------------------------------------------------


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    file = tmp_path / "spend.db"
    file.write_text("a diary, and no database at all; " * 100)
    with pytest.raises(LedgerError, match=r"spend\.db"):
        SQLiteLedger(file).balance("all", DAY, 0)


def test_a_file_of_a_newer_andon_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "spend.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="newer"):
        SQLiteLedger(file).mark("all", DAY, "x")


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
