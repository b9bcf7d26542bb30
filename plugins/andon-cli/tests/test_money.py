"""``andon spend`` and ``andon price``: what money went where, and what it will."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
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


def test_spending_is_shown_by_backend_where_there_are_several(
    run: Any, ledger: SQLiteLedger
) -> None:
    lines = [line.split() for line in run("spend", "--days", "1").stdout.splitlines()]
    assert ["groq", "2", "$0.25", "$1.00"] in lines
    assert ["openai", "1", "$0.0012", "$0.00"] in lines


@pytest.mark.parametrize("columns", [50, 120])
def test_the_plot_is_as_wide_as_the_terminal_allows(
    environment: dict[str, str], ledger: SQLiteLedger, columns: int
) -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "andon_cli", "spend"],
        env=environment | {"NO_COLOR": "1"}, dimensions=(60, columns), encoding="utf-8", timeout=30,
    )  # fmt: skip
    lines = child.read().splitlines()
    child.close()
    bars = [line.rstrip() for line in lines if "█" in line]
    assert max(map(len, bars)) <= columns
    assert max(line.count("█") for line in bars) == min(40, columns - 10 - 2 - 1 - len("$2.50") - 1)
    assert "\x1b" not in "".join(lines)


def test_for_programs(run: Any, ledger: SQLiteLedger) -> None:
    record = json.loads(run("spend", "--json").stdout)
    assert record["usd"] == "1.2512345"
    assert record["backends"][0] == {
        "backend": "groq",
        "requests": 2,
        "spent_usd": "0.25",
        "held_usd": "1",
    }
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


def test_a_budget_is_shown_before_anything_is_spent_of_it(
    run: Any, ledger: SQLiteLedger, environment: dict[str, str]
) -> None:
    folder = Path(environment["XDG_CONFIG_HOME"]) / "andon"
    folder.mkdir(parents=True)
    (folder / "andon.toml").write_text('[budgets.team]\nlimit_usd = "200"\nperiod = "month"\n')
    rows = [line.split() for line in run("spend").stdout.splitlines()]
    assert ["team", f"{datetime.now():%Y-%m}", "$0.00", "$200.00", "$200.00"] in rows


def test_a_price_says_where_it_comes_from(run: Any, environment: dict[str, str]) -> None:
    folder = Path(environment["XDG_CONFIG_HOME"]) / "andon"
    folder.mkdir(parents=True)
    (folder / "andon.toml").write_text('prices_file = "mine.json"')
    row = {"input": 1.5, "output": 3, "audio_input": 4, "batch": {"input": 1, "output": 2}}
    listed = [row, {**row, "input": 2, "valid_from": "2026-01-01"}]
    (folder / "mine.json").write_text(json.dumps({"stub:model": listed}))
    shown = run("price", "stub:model").stdout.splitlines()
    rows = [" ".join(line.split()) for line in shown]
    assert {"input 2", "input, sound 4", "output; in a batch 2", "since: 2026-01-01"} <= set(rows)
    assert rows[-1] == f'source: {folder / "mine.json"}: prices."stub:model"'
    record = json.loads(run("price", "stub:model", "--json").stdout)
    assert (record["input"], record["batch"]["output"]) == ("2", "2")


def test_nothing_spent_at_all(run: Any) -> None:
    done = run("spend", "--days", "1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(": $0.00")


def test_the_price_of_ones_own_hardware_and_an_unknown_one(run: Any) -> None:
    done = run("price", "stub:model")
    assert done.returncode == 0
    assert "source: runs on your own hardware" in done.stdout
    assert json.loads(run("price", "stub:model", "--json").stdout)["input"] == "0"
