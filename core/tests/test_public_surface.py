"""The public surface, pinned: what changes it is seen in the change, and written to the changelog.

After a change that is meant: ``python core/tests/test_public_surface.py``.
"""

from __future__ import annotations

import enum
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import andon

PINNED = Path(__file__).parent / "data" / "public_surface.txt"


def surface() -> str:
    """Return every public name with its members and their parameters, a line each."""
    return "".join(f"{line}\n" for name in sorted(andon.__all__) for line in lines_of(name))


def lines_of(name: str) -> Iterator[str]:
    """Give the lines of one public name."""
    value = getattr(andon, name)
    if not inspect.isclass(value):
        yield f"{name}{parameters(value)}"
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {name}({bases})"
    if issubclass(value, enum.Enum):
        yield from (f"{name}.{member.name} = {member.value!r}" for member in value)
    own = {key: member for kind in value.__mro__ if kind.__module__.startswith("andon") for key, member in vars(kind).items()}  # fmt: skip
    for key in sorted(own):
        member = inspect.getattr_static(value, key)
        if key == "__init__" and not issubclass(value, enum.Enum):
            yield f"{name}{parameters(member)}"
        elif not key.startswith("_") and not isinstance(member, enum.Enum):
            yield f"{name}.{key}{parameters(member)}"


def parameters(member: Any) -> str:
    """Return the parameters of what can be called; their types are mypy's matter."""
    function = getattr(member, "__func__", member)
    if not inspect.isroutine(function):
        return ""
    found = inspect.signature(function).parameters.values()
    plain = [
        parameter.replace(
            annotation=inspect.Parameter.empty,
            # What a default is, an address say, differs from run to run.
            default=parameter.default
            if parameter.default is inspect.Parameter.empty
            or isinstance(parameter.default, str | int | float | bool | tuple | None)
            else ...,
        )
        for parameter in found
    ]
    return str(inspect.Signature(plain))


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the oldest Python that we serve")
def test_it_is_as_it_was() -> None:
    assert surface() == PINNED.read_text(encoding="utf-8")


if __name__ == "__main__":
    PINNED.write_text(surface(), encoding="utf-8")
