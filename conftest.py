"""What every test of the workspace shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no flaw: nothing here is judged by the wall clock.
settings.register_profile("andon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("andon")


@pytest.fixture(autouse=True)
def unguarded() -> Iterator[None]:
    """End each test without the privacy guard, whatever sovereign client it left open."""
    yield
    from andon.privacy.guard import disarm

    disarm()
