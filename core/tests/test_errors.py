"""The tree of errors: its drawing is the truth."""

import inspect
import re

import andon
from andon import errors


def _drawn() -> dict[str, str]:
    """Return each error's parent, as the module's docstring draws them."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}((?:[│ ] {3})*)(?:[├└]── )?([A-Z]\w+)", line)
        if found is None:
            continue
        depth = len(found[1]) // 4 + ("── " in line)
        branch[depth:] = [found[2]]
        if depth:
            parents[found[2]] = branch[depth - 1]
    return parents


def _real() -> dict[str, str]:
    return {
        name: cls.__mro__[1].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.AndonError) and cls is not errors.AndonError
    }


def test_the_drawing_shows_every_error_in_its_place() -> None:
    assert _drawn() == _real()


def test_every_error_is_public() -> None:
    assert set(_real()) | {"AndonError"} <= set(andon.__all__)
