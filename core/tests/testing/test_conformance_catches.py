"""The conformance kit on sound backends, and on faulty ones, each of which it must catch."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


CASES = [
    pytest.param(file, fault, id=f"{file}-{fault.name}")
    for file in ("faulty_backends", "faulty_engines")
    for fault in _load(file).FAULTS
]


#: Quick ones, whose tests are run together.
FAULTS = {file: _load(file).FAULTS for file in ("faulty_parts", "faulty_flow", "faulty_plugins")}
QUICK = [
    pytest.param(file, fault, id=f"{file}-{fault.name}")
    for file, faults in FAULTS.items()
    for fault in faults
]


class Reports:
    """A pytest plugin that keeps what became of the tests."""

    def __init__(self) -> None:
        self.all: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.all.append(report)

    def failed(self) -> list[pytest.TestReport]:
        return [report for report in self.all if report.failed]


def run(file: str, *names: str) -> Reports:
    reports = Reports()
    # Plugins that are of no use here take longer to start than the tests.
    without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "hypothesispytest", "xdist")]
    places = [f"{HERE / file}.py::{name}" for name in names]
    pytest.main([*without, "-q", "--no-summary", *places], plugins=[reports])
    return reports


@pytest.mark.parametrize(("file", "least"), [("faulty_backends", 200), ("faulty_engines", 30)])
def test_the_kit_passes_a_sound_backend(file: str, least: int) -> None:
    reports = run(file, "TestSound")
    assert [(report.nodeid, report.longreprtext) for report in reports.failed()] == []
    assert len([report for report in reports.all if report.when == "call"]) > least


@pytest.mark.parametrize(("file", "fault"), CASES)
def test_the_kit_catches(file: str, fault: Any) -> None:
    failed = run(file, f"Test{fault.name}::{fault.test}").failed()
    assert failed, f"{fault.test} passes the backend {fault.name}"
    for report in failed:
        assert report.when == "call"
        assert "The contract, andon." in report.longreprtext, report.longreprtext


@cache
def run_all(file: str) -> Reports:
    return run(file, *(f"Test{fault.name}::{fault.test}" for fault in FAULTS[file]))


@pytest.mark.parametrize(("file", "fault"), QUICK)
def test_the_kit_catches_parts(file: str, fault: Any) -> None:
    title = f"::Test{fault.name}::{fault.test}"
    failed = [r for r in run_all(file).failed() if r.nodeid.partition("[")[0].endswith(title)]
    assert failed, f"{fault.test} passes {fault.name}"
    for report in failed:
        assert report.when == "call", report.longreprtext
        assert "The contract, andon." in report.longreprtext, report.longreprtext
