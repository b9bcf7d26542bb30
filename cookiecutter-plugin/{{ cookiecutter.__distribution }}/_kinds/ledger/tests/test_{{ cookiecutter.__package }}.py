"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from pathlib import Path

import pytest
from andon import LedgerError, SettingsError
from andon.budget import Ledger
from andon.testing import LedgerConformance, LedgerMachine, PluginConformance
from hypothesis import settings

import {{ cookiecutter.__package }}
from {{ cookiecutter.__package }}.ledger import StoreLedger
from {{ cookiecutter.__package }}.store import Store


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Ledger:
        return StoreLedger(Store(tmp_path / "spend.db"))


class Machine(LedgerMachine):
    """Any order of steps, restarts and jumping clocks, beside a model that just remembers."""

    def open(self) -> Ledger:
        return StoreLedger(Store(self.folder / "spend.db"))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, deadline=None)


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [spec] = {{ cookiecutter.__package }}.andon_register_ledgers()
    scheme = spec.scheme
    spec.create(f"{scheme}:///spend.db").mark("all", "2026-01-31", "warned")
    assert (tmp_path / "spend.db").exists()
    with pytest.raises(SettingsError):
        spec.create(f"{scheme}://")
    with pytest.raises(LedgerError):
        spec.create(f"{scheme}:///no/such/folder/spend.db").balances("2026-01-31", 0)
