"""``andon simulate``: settings tried on a load that nobody feels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NEAR = ("--service", "stub=slots:5,prefill:1000,decode:100,latency:0,spread:0")
SMALL = ("--requests", "300", "--prompt-tokens", "100", "--output-tokens", "40")
SETTINGS = """
[routes.assistant]
models = ["stub:m", "cloud:m"]
[routing]
strategy = "spillover"
slots = { stub = 5 }
[prices."cloud:m"]
input = "1"
output = "2"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    place = tmp_path / "mine.toml"
    place.write_text(SETTINGS, encoding="utf-8")
    return str(place)


def records(invoke: Any, *arguments: str) -> Any:
    result = invoke("simulate", *arguments, *SMALL, *NEAR, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_route_of_a_file_is_tried(invoke: Any, file: str) -> None:
    calm, busy = records(invoke, file, "--load", "2", "--load", "30")
    assert calm["answered"] == {"stub:m": 300}
    assert calm["cost_usd"] == "0"
    assert 0.4 < busy["spilled"] < 0.9
    assert float(busy["cost_usd"]) > 0
    assert busy["wait_seconds"]["p50"] <= busy["wait_seconds"]["p95"] < 5


def test_a_load_can_be_times_the_capacity(invoke: Any, file: str) -> None:
    [report] = records(invoke, file, "--load", "0.5x")
    # Five slots, and half a second for each request.
    assert report["rate"] == pytest.approx(5.0)


def test_people_get_a_table_and_a_plot(invoke: Any, file: str) -> None:
    several = invoke("simulate", file, *SMALL, *NEAR)
    assert several.exit_code == 0, several.output
    lines = several.stdout.splitlines()
    assert (
        lines[0].split()
        == "LOAD/S ANSWERED SPILLED REJECTED FAILED WAIT P50 P95 P99 COST PER 1000".split()
    )
    assert [line.split()[0] for line in lines[1:5]] == ["5.00", "9.00", "12.00", "20.00"]
    assert "█" in several.stdout
    one = invoke("simulate", file, *SMALL, *NEAR, "--load", "5")
    assert "< 0.2 s" in one.stdout


def test_an_unknown_price_is_said(invoke: Any) -> None:
    result = invoke("simulate", "-m", "cloud:m", "--load", "1", *SMALL)
    assert result.exit_code == 0
    assert "nobody knows what cloud:m costs" in result.stderr
    assert "UnknownPriceError" in result.stderr


def test_outages_and_failures_show(invoke: Any, file: str) -> None:
    [sound] = records(invoke, file, "--load", "4")
    [down] = records(invoke, file, "--load", "4", "--down", "stub=10-40", "--fail", "stub=0.1")
    assert sound["spilled"] < 0.1 < down["spilled"]
    assert down["continued"] > 0
    assert down["failed"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--load", "1"), "name a route, or models"),
        (("-m", "stub:m", "--load", "many"), "--load: a number"),
        (("-m", "cloud:m", "--load", "2x"), "has no slots"),
        (("-m", "stub:m", "--service", "cloud=slots:1"), "no model at 'cloud'"),
        (("-m", "stub:m", "--service", "stub=speed:1"), "is none of slots"),
        (("-m", "stub:m", "--service", "stub=slots:1.5"), "slots cannot be"),
        (("-m", "stub:m", "--service", "stub"), "BACKEND="),
        (("-m", "stub:m", "--fail", "stub=2"), "a share from 0 to 1"),
        (("-m", "stub:m", "--fail", "other=0.5"), "not at 'other'"),
        (("-m", "stub:m", "--down", "stub=9-1"), "FROM-TO"),
        (("no-such-file.toml", "-m", "stub:m"), "cannot be read"),
    ],
)
def test_wrong_usage_is_explained(invoke: Any, arguments: tuple[str, ...], words: str) -> None:
    result = invoke("simulate", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
