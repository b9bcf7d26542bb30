"""``andon backends``: the installed backends."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from andon.plugins import PluginInfo
from andon.specs import BackendSpec
from andon_cli.app import App
from andon_cli.failures import note
from andon_cli.health import Report, ask_all
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

_COLUMNS = (
    Column("BACKEND", "cyan"),
    Column("LOCALITY"),
    Column("ALIASES", least=12),
    Column("DISTRIBUTION"),
    Column("SUMMARY", least=24),
)


_HEALTH_COLUMNS = (
    Column("BACKEND", "cyan"),
    Column("HEALTH"),
    Column("MS"),
    Column("DETAIL", least=24),
)


@click.command("backends")
@click.option("--health", "health", is_flag=True, help="Ask each whether it can serve.")
@json_option
@click.pass_obj
def command(app: App, as_json: bool, health: bool) -> None:
    """List the installed backends, or ask them whether they can serve.

    Further endpoints of the settings are asked as well. Nobody is asked whom the privacy tier
    does not allow.
    """
    with app.client() as client:
        backends = client.plugins.backends()
        if health:
            further = {n for n, table in client.settings.endpoints.items() if "backend" in table}
            _print_health(ask_all(client, sorted({*backends, *further})), as_json)
            return
        owners = _owners(client.plugins.describe())
    specs = [spec for _, spec in sorted(backends.items())]
    if as_json:
        records = [_record(spec, owners[spec.name]) for spec in specs]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
    elif specs:
        print_table(_COLUMNS, [_row(spec, owners[spec.name]) for spec in specs])
    else:
        note("no backend is installed; try: pip install andon-llama-cpp andon-demo-model")


def _print_health(reports: Sequence[Report], as_json: bool) -> None:
    if as_json:
        records = [
            {
                "name": report.backend,
                "health": report.health.value,
                "milliseconds": report.milliseconds,
                "detail": report.detail,
            }
            for report in reports
        ]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    rows = [
        (
            report.backend,
            report.health.value,
            "" if report.milliseconds is None else f"{report.milliseconds:.0f}",
            report.detail,
        )
        for report in reports
    ]
    print_table(_HEALTH_COLUMNS, rows)


def _row(spec: BackendSpec, distribution: str) -> tuple[str, ...]:
    return spec.name, spec.locality.value, ", ".join(spec.aliases), distribution, spec.summary


def _record(spec: BackendSpec, distribution: str) -> dict[str, object]:
    return {
        "name": spec.name,
        "locality": spec.locality.value,
        "aliases": list(spec.aliases),
        "distribution": distribution,
        "summary": spec.summary,
    }


def _owners(infos: tuple[PluginInfo, ...]) -> dict[str, str]:
    """Return the distribution that brought each backend."""
    return {
        offer.removeprefix("backend "): info.distribution
        for info in infos
        for offer in info.offers
        if offer.startswith("backend ")
    }
