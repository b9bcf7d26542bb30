"""What one's own settings make of a load, in simulated time."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from andon import BackendSpec, Locality, Price, PrivacyTier, SettingsError, hookimpl
from andon.backends import Backend
from andon.settings import RouteSettings, Settings
from andon.simulation import Circumstances, Load, LoadReport, Service, simulate

PRICES = {"far:m": Price(input=Decimal(1), output=Decimal(2))}
MODELS = ["near:m", "far:m"]
#: Ten requests a second, each of half a second, for five slots.
NEAR = Service(slots=5, prefill=1000.0, decode=100.0, latency=0.0, spread=0.0)
SAME = {"prompt_tokens": 100, "output_tokens": 40, "spread": 0.0}


def _never(context: object) -> Backend:
    raise AssertionError("nothing is created in a simulation")


def plugin() -> ModuleType:
    """Return a plugin with a near backend and a far one."""
    found = ModuleType("simulated")
    specs = [
        BackendSpec(name="near", create=_never, locality=Locality.LOCAL),
        BackendSpec(name="far", create=_never, locality=Locality.PUBLIC),
    ]
    vars(found)["andon_register_backends"] = hookimpl(lambda: specs)
    return found


def run(
    rate: float = 5.0,
    *,
    models: Any = MODELS,
    routing: dict[str, Any] | None = None,
    load: dict[str, Any] | None = None,
    prices: Any = PRICES,
    circumstances: dict[str, Any] | None = None,
    **settings: Any,
) -> LoadReport:
    return simulate(
        Settings(routing=routing or {}, **settings),
        models,
        Load(rate=rate, **{"count": 500, **SAME, **(load or {})}),
        Circumstances(
            services={} if models == ["far:m"] else {"near": NEAR}, **(circumstances or {})
        ),
        prices=prices,
        plugins=[plugin()],
    )


def test_a_load_that_fits_stays_near_and_costs_nothing() -> None:
    report = run(5.0)
    assert report.answered == {"near:m": 500}
    assert (report.spilled, report.rejected, report.failed, report.cost_usd) == (0, 0, {}, 0)
    # A hundred tokens are read in a tenth of a second, and the first is there a hundredth later.
    assert report.wait(50) == pytest.approx(0.11)
    assert report.duration(50) == pytest.approx(0.11 + 0.4, abs=0.02)


def test_spillover_keeps_waits_short_and_costs_what_it_says() -> None:
    alone = run(20.0, models=["near:m"], routing={"strategy": "spillover", "slots": {"near": 5}})
    both = run(20.0, routing={"strategy": "spillover", "slots": {"near": 5}})
    assert alone.rejected > 100
    assert both.rejected == 0
    assert 0.3 < both.spilled < 0.7
    assert both.wait(95) is not None and alone.wait(95) is not None
    assert both.wait(95) < 3 < alone.wait(95)  # type: ignore[operator]
    # A hundred tokens in at a dollar, and forty out at two, a million.
    assert both.cost_usd == both.answered["far:m"] * Decimal("0.000180")


def test_the_same_seed_gives_the_same_figures() -> None:
    load = {"spread": 0.7, "burst": 4.0}
    assert run(8.0, load=load) == run(8.0, load=load)
    other = run(8.0, load=load, circumstances={"seed": 1})
    assert other != run(8.0, load=load)


def test_what_a_budget_refuses_is_told() -> None:
    report = run(5.0, models=["far:m"], load={"max_tokens": 40}, daily_budget_usd=Decimal("0.009"))
    assert report.failed["DailyBudgetExceeded"] > 100
    assert report.cost_usd <= Decimal("0.009")


def test_an_unknown_price_is_told() -> None:
    report = run(5.0, models=["far:m"], prices={})
    assert report.unpriced == ["far:m"]
    assert report.failed == {"UnknownPriceError": 500}


def test_an_outage_is_failed_over() -> None:
    report = run(5.0, circumstances={"outages": [("near", 20.0, 60.0)]})
    assert report.failed == {}
    assert 0.2 < report.spilled < 0.6
    assert sum(report.answered.values()) == 500


def test_broken_answers_are_gone_on_with() -> None:
    report = run(5.0, circumstances={"failures": {"near": 0.3}})
    assert report.continued > 20
    assert report.failed == {}


def test_nobody_is_asked_outside_the_tier() -> None:
    report = run(20.0, privacy=PrivacyTier.SOVEREIGN, routing={"strategy": "spillover"})
    assert set(report.answered) == {"near:m"}
    assert report.rejected > 100


def test_routes_and_processes_that_count_together() -> None:
    routing = {
        "strategy": "redis",
        "url": "redis://nowhere",
        "by": "spillover",
        "slots": {"near": 5},
    }
    report = run(
        20.0,
        models="assistant",
        routes={"assistant": RouteSettings(models=("near:m", "far:m"))},
        routing=routing,
        circumstances={"processes": 4},
    )
    together = run(20.0, routing={"strategy": "spillover", "slots": {"near": 5}})
    assert report.spilled == pytest.approx(together.spilled, abs=0.1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"circumstances": {"failures": {"nowhere": 0.1}}}, "not at 'nowhere'"),
        ({"routing": {"strategy": "tea-leaves"}}, "only strategies of andon's own"),
        ({"load": {"burst": 0.5}}, "burst: a number"),
        ({"load": {"count": 0}}, "count: a number"),
        ({"rate": float("nan")}, "rate: a number"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        run(**wrong)
