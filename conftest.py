"""What every test of the workspace shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unguarded() -> Iterator[None]:
    """End each test without the privacy guard, whatever sovereign client it left open."""
    yield
    from andon.privacy.guard import disarm

    disarm()
