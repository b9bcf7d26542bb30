"""``andon simulate``: what settings make of a load, in simulated time."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from andon_cli.app import App
from andon_cli.failures import note
from andon_cli.options import json_option
from andon_cli.plots import bar, room_for_bars
from andon_cli.tables import Column, print_table
from andon_cli.terminal import style

if TYPE_CHECKING:
    from andon.settings import Settings
    from andon.simulation import Load, LoadReport, Service

_COLUMNS = (
    Column("LOAD/S", "cyan", right=True),
    Column("ANSWERED", right=True),
    Column("SPILLED", right=True),
    Column("REJECTED", right=True),
    Column("FAILED", right=True),
    Column("WAIT P50", right=True),
    Column("P95", right=True),
    Column("P99", right=True),
    Column("COST", right=True),
    Column("PER 1000", right=True),
)

#: Where the bars of a single load's waits end, in seconds.
_EDGES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, math.inf)


@click.command("simulate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--model", "-m", "models", multiple=True, help="A model or route, the preferred one first."
)
@click.option(
    "--load",
    "loads",
    multiple=True,
    default=("0.5x", "0.9x", "1.2x", "2x"),
    show_default=True,
    help="Requests a second, or times what the first model can serve.",
)
@click.option(
    "--requests", type=click.IntRange(1), default=2000, show_default=True, help="How many come."
)
@click.option(
    "--burst",
    type=click.FloatRange(1),
    default=1.0,
    show_default=True,
    help="How many come together on average.",
)
@click.option(
    "--prompt-tokens",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Size of a prompt, on average.",
)
@click.option(
    "--output-tokens",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Size of an answer, on average.",
)
@click.option("--max-tokens", type=click.IntRange(1), help="What requests allow at most.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds callers wait.")
@click.option(
    "--users",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Callers who share queues fairly.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that the requests are spread over.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="BACKEND=KEY:VALUE,…",
    help="How fast a backend is: slots, prefill and decode (tokens a second), latency (seconds "
    "of a round trip), spread (sigma of a lognormal factor).",
)
@click.option(
    "--fail",
    "failures",
    multiple=True,
    metavar="BACKEND=SHARE",
    help="Share of requests that a backend fails.",
)
@click.option(
    "--down",
    "outages",
    multiple=True,
    metavar="BACKEND=FROM-TO",
    help="Seconds between which a backend is down.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same gives the same run.")
@json_option
@click.pass_obj
def command(
    app: App,
    /,
    file: Path | None,
    models: tuple[str, ...],
    loads: tuple[str, ...],
    services: tuple[str, ...],
    failures: tuple[str, ...],
    outages: tuple[str, ...],
    processes: int,
    seed: int,
    as_json: bool,
    **shape: Any,
) -> None:
    """Show what the settings in FILE make of a load, without asking anybody.

    FILE is an andon.toml; without it, the settings that are in force are tried. Routes,
    strategies, queues, failover, prices and budgets are the real ones; servers and time are
    simulated. A wait is the time until the first token.
    """
    from andon.settings import load_file
    from andon.simulation import Circumstances, Load, simulate

    settings = app.settings() if file is None else load_file(file)
    asked = _asked(models, settings)
    shape["count"] = shape.pop("requests")
    load = Load(rate=1.0, **shape)
    given = dict(_service(text) for text in services)
    speeds = _speeds(app, settings, asked, given)
    around = Circumstances(
        services=speeds,
        failures=dict(_pair(text, "--fail", _share) for text in failures),
        outages=[_outage(text) for text in outages],
        processes=processes,
        seed=seed,
    )
    reports = [
        simulate(
            settings,
            asked,
            replace(load, rate=_rate(text, speeds, load)),
            around,
            discover=app.discover,
            plugins=app.plugins,
        )
        for text in loads
    ]
    if as_json:
        click.echo(json.dumps([_record(report) for report in reports], indent=2))
    else:
        _show(reports)


# -- Reading the options --------------------------------------------------------------------------


def _asked(models: tuple[str, ...], settings: Settings) -> str | tuple[str, ...]:
    if models:
        return models[0] if len(models) == 1 else models
    routes = sorted(settings.routes)
    if len(routes) != 1:
        there = f"; there are the routes {', '.join(routes)}" if routes else ""
        raise click.UsageError(f"name a route, or models, with --model{there}")
    return routes[0]


def _speeds(
    app: App, settings: Settings, asked: str | tuple[str, ...], given: Mapping[str, Any]
) -> dict[str, Service]:
    """Return how fast each backend is, the preferred one first."""
    from andon.simulation import usual_services

    usual = usual_services(settings, asked, discover=app.discover, plugins=app.plugins)
    unknown = sorted(set(given) - set(usual))
    if unknown:
        raise click.UsageError(f"--service: no model at {unknown[0]!r} is asked")
    return {name: replace(service, **given.get(name, {})) for name, service in usual.items()}


def _rate(text: str, speeds: Mapping[str, Service], load: Load) -> float:
    from andon.simulation import capacity

    number = _number(text.removesuffix("x"), "--load")
    if not text.endswith("x"):
        return number
    name, service = next(iter(speeds.items()))
    most = capacity(service, load)
    if most is None:
        raise click.UsageError(
            f"--load {text}: {name!r} has no slots, so there is no capacity; give requests a "
            f"second, or --service {name}=slots:N"
        )
    return number * most


def _service(text: str) -> tuple[str, dict[str, Any]]:
    return _pair(text, "--service", _service_values)


def _service_values(text: str) -> dict[str, Any]:
    from andon.simulation import Service

    known = [option.name for option in fields(Service)]
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.partition(":")
        if key not in known:
            raise click.UsageError(f"--service: {key!r} is none of {', '.join(known)}")
        number = _number(value, "--service")
        least = 0.0 if key in {"latency", "spread"} else 1e-9
        if number < least or (key == "slots" and number != int(number)):
            raise click.UsageError(f"--service: {key} cannot be {value}")
        found[key] = int(number) if key == "slots" else number
    return found


def _share(text: str) -> float:
    share = _number(text, "--fail")
    if not 0 <= share <= 1:
        raise click.UsageError(f"--fail: a share from 0 to 1, not {text}")
    return share


def _outage(text: str) -> tuple[str, float, float]:
    name, (begin, end) = _pair(text, "--down", _span)
    return name, begin, end


def _span(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    begin, end = _number(first, "--down"), _number(last, "--down")
    if not begin < end:
        raise click.UsageError(f"--down: FROM-TO in seconds, not {text!r}")
    return begin, end


def _pair(text: str, option: str, read: Callable[[str], Any]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise click.UsageError(f"{option}: BACKEND=…, not {text!r}")
    return name, read(value)


def _number(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise click.UsageError(f"{option}: a number, not {text!r}")
    return number


# -- Showing --------------------------------------------------------------------------------------


def _show(reports: Sequence[LoadReport]) -> None:
    print_table(_COLUMNS, [_row(report) for report in reports])
    click.echo()
    if len(reports) > 1:
        waits = [(f"{report.rate:.2f}/s", report.wait(95)) for report in reports]
        _plot("wait, p95", [(label, wait or 0.0, _time(wait)) for label, wait in waits])
    else:
        _plot("waits", _distribution(reports[0].waits))
    for line in _remarks(reports):
        note(line)


def _row(report: LoadReport) -> tuple[str, ...]:
    cost = float(report.cost_usd)
    return (
        f"{report.rate:.2f}",
        f"{sum(report.answered.values()):,}",
        f"{report.spilled:.1%}",
        _share_of(report.rejected, report),
        _share_of(sum(report.failed.values()), report),
        *(_time(report.wait(percent)) for percent in (50, 95, 99)),
        f"${cost:,.2f}",
        f"${cost / report.requests * 1000:,.2f}",
    )


def _share_of(count: int, report: LoadReport) -> str:
    return f"{count / report.requests:.1%}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def _distribution(waits: Sequence[float]) -> list[tuple[str, float, str]]:
    """Return how many waits are in each of some ranges, without those at the end that are empty."""
    rows, below = [], 0.0
    for edge in _EDGES:
        count = sum(below <= wait < edge for wait in waits)
        label = f"≥ {below:g} s" if edge == math.inf else f"< {edge:g} s"
        rows.append((label, float(count), f"{count / max(len(waits), 1):.1%}"))
        below = edge
    while len(rows) > 1 and not rows[-1][1]:
        rows.pop()
    return rows


def _plot(title: str, rows: Sequence[tuple[str, float, str]]) -> None:
    wide = max(len(label) for label, _, _ in rows)
    room = room_for_bars(wide + max(len(told) for _, _, told in rows) + 4)
    most = max(amount for _, amount, _ in rows)
    click.echo(f"{title}:")
    for label, amount, told in rows:
        drawn = style(bar(amount / most if most else 0.0, room), sys.stdout, fg="cyan")
        click.echo(f"{label:>{wide}}  {drawn}{' ' if amount else ''}{told}")


def _remarks(reports: Sequence[LoadReport]) -> list[str]:
    unpriced = dict.fromkeys(model for report in reports for model in report.unpriced)
    found = [
        f"nobody knows what {model} costs: unknown_price says what becomes of its requests, and "
        f'[prices."{model}"] gives it a price'
        for model in unpriced
    ]
    kinds = dict.fromkeys(kind for report in reports for kind in report.failed)
    if kinds:
        found.append(f"failed with {', '.join(kinds)}")
    return found


def _record(report: LoadReport) -> dict[str, object]:
    percents = (50, 95, 99)
    return {
        "rate": report.rate,
        "requests": report.requests,
        "answered": dict(report.answered),
        "spilled": report.spilled,
        "rejected": report.rejected,
        "failed": dict(report.failed),
        "continued": report.continued,
        "wait_seconds": {f"p{percent}": report.wait(percent) for percent in percents},
        "duration_seconds": {f"p{percent}": report.duration(percent) for percent in percents},
        "cost_usd": f"{report.cost_usd:f}",
        "unpriced": list(report.unpriced),
    }
