"""``andon price``: what a model costs, and where that is known from."""

from __future__ import annotations

import json
from decimal import Decimal

import click

from andon.specs import Price
from andon_cli.app import App
from andon_cli.completion import complete_models
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

_COLUMNS = (Column("TOKENS", "cyan", least=20), Column("USD PER MILLION", right=True))
_LABELS = {
    "input": "input",
    "cached_input": "input, read from a cache",
    "cache_write": "input, written to a cache",
    "image_input": "input, images",
    "audio_input": "input, sound",
    "output": "output",
    "reasoning": "output, reasoning",
    "image_output": "output, images",
    "audio_output": "output, sound",
}


@click.command("price")
@click.argument("model", shell_complete=complete_models)
@json_option
@click.pass_obj
def command(app: App, model: str, as_json: bool) -> None:
    """Show what MODEL costs, as backend:model, and where that is known from."""
    with app.client() as client:
        price = client.price(model)
    if as_json:
        since = {"valid_from": price.valid_from} if price.valid_from else {}
        record = {"model": model, **_record(price), **since, "source": price.source}
        click.echo(json.dumps(record, indent=2))
        return
    rows = _rows(price)
    for tier in price.long_context:
        rows += _rows(tier.price, f"; prompts above {tier.above:,} tokens")
    if price.batch is not None:
        rows += _rows(price.batch, "; in a batch")
    print_table(_COLUMNS, rows)
    if price.valid_from:
        click.echo(f"since: {price.valid_from}")
    click.echo(f"source: {price.source or 'not stated'}")


def _rows(price: Price, when: str = "") -> list[tuple[str, str]]:
    return [(label + when, f"{rate:f}") for label, rate in _rates(price)]


def _rates(price: Price) -> list[tuple[str, Decimal]]:
    found = ((label, getattr(price, name)) for name, label in _LABELS.items())
    return [(label, rate) for label, rate in found if rate is not None]


def _record(price: Price) -> dict[str, object]:
    rates = {name: getattr(price, name) for name in _LABELS}
    known = {name: f"{rate:f}" for name, rate in rates.items() if rate is not None}
    tiers = [{"above": tier.above, **_record(tier.price)} for tier in price.long_context]
    batch = {} if price.batch is None else {"batch": _record(price.batch)}
    return {**known, **({"long_context": tiers} if tiers else {}), **batch}
