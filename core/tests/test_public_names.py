"""The public surface: what ``andon`` offers, and that all of it is there."""

import ast
from pathlib import Path

import pytest

import andon


def _imported_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(str(andon.__file__)).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_type_checkers_and_programs_see_the_same_names() -> None:
    assert _imported_for_type_checkers() | {"__version__"} == set(andon.__all__)


@pytest.mark.parametrize("name", sorted(andon.__all__))
def test_every_name_is_there(name: str) -> None:
    assert getattr(andon, name) is not None
    assert name in dir(andon)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Cord'"):
        andon.Cord  # noqa: B018
