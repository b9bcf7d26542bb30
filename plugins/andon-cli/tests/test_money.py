"""``andon spend`` and ``andon price``: what money went where, and what it will."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from andon import CircuitBreakerConfig, CostCircuitBreaker
from andon.budget.sqlite import SQLiteLedger


@pytest.fixture
def ledger(environment: dict[str, str], tmp_path: Path) -> SQLiteLedger:
    """Spend some money, as other commands and programs of the same user would."""
    environment["XDG_DATA_HOME"] = str(tmp_path / "data")
    ledger = SQLiteLedger(tmp_path / "data" / "andon" / "spend.db")
    clock = [datetime.now() - timedelta(days=2)]
    breaker = CostCircuitBreaker(CircuitBreakerConfig(), ledger=ledger, now=lambda: clock[0])
    breaker.record("2.50", labels={"backend": "groq", "model": "big"})
    clock[0] += timedelta(days=2)
    breaker.record("0.25", labels={"backend": "groq", "model": "big"})
    breaker.record("0.0012345", labels={"backend": "openai", "model": "small"})
    breaker.reserve(1, labels={"backend": "groq", "model": "big"})
    return ledger


def test_spending_is_shown_by_model_and_by_day(run: Any, ledger: SQLiteLedger) -> None:
    done = run("spend", "--days", "3")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith(": $1.25")
    assert ["groq:big", "2", "$0.25", "$1.00"] in [line.split() for line in lines]
    assert ["openai:small", "1", "$0.0012", "$0.00"] in [line.split() for line in lines]
    days = [line.split() for line in lines[-3:]]
    assert [row[-1] for row in days] == ["$2.50", "$0.00", "$1.25"]
    # Bars are as long as the amounts are large; a day without any has none.
    assert [len(row[1]) if len(row) == 3 else 0 for row in days] == [40, 0, 20]


def test_for_programs(run: Any, ledger: SQLiteLedger) -> None:
    record = json.loads(run("spend", "--json").stdout)
    assert record["usd"] == "1.2512345"
    assert record["models"][0] == {
        "backend": "groq",
        "model": "big",
        "requests": 2,
        "spent_usd": "0.25",
        "held_usd": "1",
    }
    rows = list(csv.DictReader(run("spend", "--csv", "--days", "2").stdout.splitlines()))
    assert [row["usd"] for row in rows] == ["0", "1.2512345"]


def test_budgets_say_what_is_left(
    run: Any, ledger: SQLiteLedger, environment: dict[str, str]
) -> None:
    environment["ANDON_DAILY_BUDGET_USD"] = "5"
    rows = [line.split() for line in run("spend").stdout.splitlines()]
    day = datetime.now().date().isoformat()
    assert ["daily", day, "$1.25", "$5.00", "$3.75"] in rows


def test_nothing_spent_at_all(run: Any) -> None:
    done = run("spend", "--days", "1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(": $0.00")


def test_the_price_of_ones_own_hardware_and_an_unknown_one(run: Any) -> None:
    done = run("price", "stub:model")
    assert done.returncode == 0
    assert "source: runs on your own hardware" in done.stdout
    assert json.loads(run("price", "stub:model", "--json").stdout)["input"] == "0"
