"""``andon price``: what a model costs, and where that is known from."""

from __future__ import annotations

import json
from decimal import Decimal

import click

from andon.specs import Price
from andon_cli.app import App
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

_COLUMNS = (Column("TOKENS", "cyan"), Column("USD PER MILLION"))
_LABELS = {
    "input": "input",
    "cached_input": "input, read from a cache",
    "cache_write": "input, written to a cache",
    "output": "output",
    "reasoning": "output, reasoning",
}


@click.command("price")
@click.argument("model")
@json_option
@click.pass_obj
def command(app: App, model: str, as_json: bool) -> None:
    """Show what MODEL costs, as backend:model, and where that is known from."""
    with app.client() as client:
        price = client.price(model)
    if as_json:
        click.echo(json.dumps({"model": model, **_record(price), "source": price.source}, indent=2))
        return
    rows = [(label, f"{rate:f}") for label, rate in _rates(price)]
    for tier in price.long_context:
        above = f"; prompts above {tier.above:,} tokens"
        rows += [(label + above, f"{rate:f}") for label, rate in _rates(tier.price)]
    print_table(_COLUMNS, rows)
    click.echo(f"source: {price.source or 'not stated'}")


def _rates(price: Price) -> list[tuple[str, Decimal]]:
    found = ((label, getattr(price, name)) for name, label in _LABELS.items())
    return [(label, rate) for label, rate in found if rate is not None]


def _record(price: Price) -> dict[str, object]:
    rates = {name: getattr(price, name) for name in _LABELS}
    known = {name: f"{rate:f}" for name, rate in rates.items() if rate is not None}
    tiers = [{"above": tier.above, **_record(tier.price)} for tier in price.long_context]
    return {**known, **({"long_context": tiers} if tiers else {})}
