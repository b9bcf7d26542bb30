"""The matrix of backends and abilities says what the conformance classes prove."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    path = ROOT / "tests/backend_matrix.py"
    spec = importlib.util.spec_from_file_location("backend_matrix", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(matrix: ModuleType) -> None:
    text = matrix.PAGE.read_text(encoding="utf-8")
    stale = text != matrix.page_with_table(text)
    assert not stale, f"{matrix.PAGE.name} is stale; run: python tests/backend_matrix.py"


def test_every_ability_has_a_column(matrix: ModuleType) -> None:
    assert set(matrix.COLUMNS.values()) == set(matrix.Ability)


def test_every_claim_is_an_ability(matrix: ModuleType) -> None:
    for case in matrix.conformance_classes():
        assert case.abilities <= set(matrix.Ability), case


def test_no_row_stands_twice(matrix: ModuleType) -> None:
    rows = Counter((case.backend, case.variant) for case in matrix.conformance_classes())
    assert [row for row, count in rows.items() if count > 1] == []


def test_every_plugin_with_a_backend_has_a_row() -> None:
    offering = {
        path.parts[-4]
        for path in ROOT.glob("plugins/*/src/*/__init__.py")
        if "def andon_register_backends" in path.read_text(encoding="utf-8")
    }
    tested = {path.parts[-3] for path in ROOT.glob("plugins/*/tests/test_conformance.py")}
    assert sorted(offering - tested) == []
