"""Every ledger keeps the same promises: a model that just remembers stands beside it."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from andon import Client, LedgerError, SettingsError
from andon.budget import Balance, Charge, Decision, Hold, Ledger, MemoryLedger, Spending
from andon.budget.sqlite import SQLiteLedger, open_sqlite

DAY = "2026-01-31"
_numbers = itertools.count()


def hold(
    amount: int,
    limit: int | None = None,
    *,
    account: str = "all",
    expires: float = 100,
    model: str = "m",
) -> Hold:
    return Hold(
        id=str(next(_numbers)),
        amount=amount,
        charges=(Charge(account, DAY, limit),),
        expires=expires,
        backend="b",
        model=model,
    )


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = MemoryLedger()
    if request.param == "sqlite":
        made = SQLiteLedger(tmp_path / "deep" / "spend.db")
    yield made
    made.close()


def test_held_and_settled_count_together(ledger: Ledger) -> None:
    first = hold(60, 100)
    assert ledger.reserve(first) == Decision(None, (60,))
    assert ledger.reserve(hold(41, 100)) == Decision("all")
    ledger.settle(first.id, 59)
    assert ledger.reserve(hold(41, 100)) == Decision(None, (100,))
    assert ledger.balance("all", DAY, 0) == Balance(59, 41)


def test_the_same_hold_again_and_the_same_settlement_again_change_nothing(ledger: Ledger) -> None:
    first = hold(60, 100)
    ledger.reserve(first)
    assert ledger.reserve(first) == Decision()
    ledger.settle(first.id, 10)
    ledger.settle(first.id, 20)
    ledger.settle("unknown", 20)
    assert ledger.reserve(first) == Decision()
    assert ledger.balance("all", DAY, 0) == Balance(10, 0)


def test_a_hold_whose_time_is_over_counts_as_spent_until_it_is_settled_late(ledger: Ledger) -> None:
    lost = hold(60, 100, expires=10)
    ledger.reserve(lost)
    assert ledger.balance("all", DAY, 9.9) == Balance(0, 60)
    assert ledger.balance("all", DAY, 10) == Balance(60, 0)
    ledger.settle(lost.id, 5)
    assert ledger.balance("all", DAY, 20) == Balance(5, 0)


def test_where_one_account_has_no_room_nothing_is_held_at_any(ledger: Ledger) -> None:
    charges = (Charge("all", DAY, 100), Charge("team", "2026-01", 10))
    both = Hold(id="x", amount=11, charges=charges, expires=100)
    assert ledger.reserve(both) == Decision("team")
    assert ledger.balances(DAY, 0).get("all", Balance(0, 0)).used == 0
    assert ledger.balance("team", "2026-01", 0).used == 0


def test_what_each_model_cost(ledger: Ledger) -> None:
    for model, amount in [("m", 10), ("n", 20), ("m", 30)]:
        ledger.reserve(hold(amount, model=model))
    late = hold(5, model="n", expires=1)
    ledger.reserve(late)
    rows = ledger.spending("all", "2026-01-01", 50)
    assert [(row.model, row.requests, row.settled, row.held) for row in rows] == [
        ("m", 2, 0, 40),
        ("n", 2, 5, 20),
    ]
    assert rows[0] == Spending(period=DAY, backend="b", model="m", requests=2, settled=0, held=40)
    assert ledger.spending("all", "2026-02-01", 50) == []


def test_a_mark_is_new_once(ledger: Ledger) -> None:
    assert ledger.mark("all", DAY, "warned")
    assert not ledger.mark("all", DAY, "warned")
    assert ledger.mark("all", "2026-02-01", "warned")


def test_threads_together_never_pass_the_limit(ledger: Ledger) -> None:
    granted: list[Hold] = []

    def spend() -> None:
        for _ in range(30):
            asked = hold(10, 1000)
            if ledger.reserve(asked).refused is None:
                granted.append(asked)
                ledger.settle(asked.id, 5)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.balance("all", DAY, 0) == Balance(5 * len(granted), 0)
    assert 5 * len(granted) <= 1000 < 5 * len(granted) + 10


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


TestSQLiteLedger = LedgerMachine.TestCase
TestSQLiteLedger.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestMemoryLedger = MemoryMachine.TestCase
TestMemoryLedger.settings = settings(max_examples=50, deadline=None)


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
