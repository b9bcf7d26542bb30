"""How long a backend takes: seen lately counts, whatever the number of requests (SP-10)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import Locality
from andon.backends import Backend
from andon.routing import Ask, Candidate, RouterConfig, SpilloverRouter
from andon.routing.service import ServiceTime
from andon.selection import ModelRef
from andon.specs import BackendContext, BackendSpec


@given(st.integers(1, 200), st.floats(0.01, 2.0))
@settings(max_examples=50)
def test_what_was_seen_decays_with_time_and_not_with_the_number(number: int, gap: float) -> None:
    service = ServiceTime(prior=1.0, half_life=60.0)
    for n in range(number):
        service.begin(n * gap)
        service.end((n + 0.5) * gap, 9.0, 0)
    end = (number - 0.5) * gap
    learned = service.seconds(end)
    assert 1.0 < learned <= 9.0
    half = service.seconds(end + 60.0)
    assert half - 1.0 == pytest.approx((learned - 1.0) / 2)
    readings = [service.seconds(end + later) for later in (0, 30, 60, 300, 3600)]
    assert all(after <= before for before, after in pairwise(readings))
    assert readings[-1] == pytest.approx(1.0, abs=1e-6)


def test_a_burst_of_samples_does_not_wash_out_the_last_minute() -> None:
    service = ServiceTime(prior=1.0, half_life=60.0)
    service.begin(0.0)
    for n in range(200):
        service.begin(n * 0.5)
        service.end(n * 0.5 + 0.4, 4.0, 0)
    for _ in range(20):
        service.begin(100.0)
        service.end(100.0, 0.1, 0)
    # By number the last twenty would be all that counts to an average over ten or twenty.
    assert service.seconds(100.0) > 3.0


def test_a_backend_that_is_slow_at_work_is_believed_at_once_after_a_rest() -> None:
    service = ServiceTime(prior=1.0, half_life=60.0)
    for n in range(1000):
        service.begin(n * 0.1)
        service.end(n * 0.1 + 0.05, 1.0, 0)
    service.begin(10_000.0)
    service.end(10_008.0, 8.0, 0)
    assert service.seconds(10_008.0) > 4.0


def _nothing(context: BackendContext) -> Backend:
    raise NotImplementedError


def test_failures_say_nothing_of_service_times() -> None:
    spec = BackendSpec(name="home", create=_nothing, locality=Locality.LOCAL)
    home = Candidate(ModelRef("home", "m"), spec)
    router = SpilloverRouter(RouterConfig(slots={"home": 4}, service_time=2.0))
    for n in range(50):
        router.admit([home], Ask(), n * 1.0).leave(n + 0.001, answered=False)
    assert router.service_time("home", 50.0) == 2.0
    for n in range(50):
        router.admit([home], Ask(), 60.0 + n * 6.0).leave(65.0 + n * 6.0)
    assert router.service_time("home", 360.0) > 3.0
