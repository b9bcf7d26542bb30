"""``andon models``: the models that can be asked for by name."""

from __future__ import annotations

import json

import click

from andon.specs import Locality, ModelCard
from andon_cli.app import App
from andon_cli.failures import note
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

_COLUMNS = (
    Column("MODEL", "cyan"),
    Column("CONTEXT"),
    Column("LOCALITY"),
    Column("CAPABILITIES", least=14),
    Column("DESCRIPTION", least=24),
)


@click.command("models")
@json_option
@click.pass_obj
def command(app: App, as_json: bool) -> None:
    """List the models that can be asked for by name.

    Many backends serve models that no list names: any GGUF file, any model of a provider.
    """
    with app.client() as client:
        models = client.models()
        places = {name: spec.locality for name, spec in client.plugins.backends().items()}
    if as_json:
        records = [_record(name, places[name], card) for name, card in models]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
    elif models:
        print_table(_COLUMNS, [_row(name, places[name], card) for name, card in models])
    else:
        note("no backend names a model; try: pip install andon-llama-cpp andon-demo-model")


def _row(backend: str, locality: Locality, card: ModelCard) -> tuple[str, ...]:
    return (
        f"{backend}:{card.name}",
        "" if card.context_window is None else f"{card.context_window:,}",
        locality.value,
        ", ".join(sorted(card.capabilities)),
        card.description,
    )


def _record(backend: str, locality: Locality, card: ModelCard) -> dict[str, object]:
    return {
        "name": f"{backend}:{card.name}",
        "backend": backend,
        "model": card.name,
        "context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "capabilities": sorted(card.capabilities),
        "locality": locality.value,
        "description": card.description,
    }
