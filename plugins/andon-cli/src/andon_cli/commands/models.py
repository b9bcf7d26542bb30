"""``andon models``: the models that can be asked for by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from andon.errors import AndonError
from andon.specs import BackendSpec, Locality, ModelCard
from andon_cli.app import App
from andon_cli.completion import complete_backends
from andon_cli.failures import explain, note
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

if TYPE_CHECKING:
    from andon.client import Client

_COLUMNS = (
    Column("MODEL", "cyan"),
    Column("CONTEXT", right=True),
    Column("LOCALITY"),
    Column("CAPABILITIES", least=14),
    Column("DESCRIPTION", least=24),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one backend names.

    :param backend: its name.
    :param locality: where it is.
    :param cards: its models.
    :param error: why it cannot tell.
    """

    backend: str
    locality: Locality
    cards: Sequence[ModelCard] = ()
    error: Exception | None = None


@click.command("models")
@click.option(
    "--backend",
    "wanted",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_backends,
    help="Only the models of this backend; may be given several times.",
)
@click.option("--ask", is_flag=True, help="Ask servers and providers which models they have now.")
@json_option
@click.pass_obj
def command(app: App, as_json: bool, wanted: tuple[str, ...], ask: bool) -> None:
    """List the models that can be asked for by name, of all backends or of some.

    Many backends serve models that no list names: any GGUF file, any model of a provider. With
    --ask each backend is asked that the privacy tier allows to ask.
    """
    with app.client() as client:
        backends = client.plugins.backends()
        further = {n for n, table in client.settings.endpoints.items() if "backend" in table}
        names = list(dict.fromkeys(wanted)) or sorted({*backends, *further})
        listings = _asked(client, names) if ask else _named(client, names)
    if as_json:
        records = [_record(listing, card) for listing in listings for card in listing.cards]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
    elif rows := [_row(listing, card) for listing in listings for card in listing.cards]:
        print_table(_COLUMNS, rows)
    elif not backends:
        note("no backend is installed; try: pip install andon-llama-cpp andon-demo-model")
    _note_silent(listings, named=bool(wanted), asked=ask)


def _named(client: Client, names: Sequence[str]) -> list[Listing]:
    """Return what backends name by themselves; nobody is asked."""
    specs = {name: _spec(client, name) for name in names}
    cards: dict[str, list[ModelCard]] = {}
    for backend, card in client.models():
        cards.setdefault(backend, []).append(card)
    return [Listing(name, spec.locality, cards.get(spec.name, ())) for name, spec in specs.items()]


def _asked(client: Client, names: Sequence[str]) -> list[Listing]:
    def ask(name: str) -> Listing:
        locality = _spec(client, name).locality
        try:
            return Listing(name, locality, client.list_models(name))
        except AndonError as error:
            return Listing(name, locality, error=error)

    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(ask, names))


def _spec(client: Client, name: str) -> BackendSpec:
    kind = client.settings.endpoints.get(name, {}).get("backend", name)
    return client.plugins.backend(kind)


def _note_silent(listings: Sequence[Listing], *, named: bool, asked: bool) -> None:
    """Say which backends told nothing, and why, as briefly as will do."""
    for listing in listings if named else ():
        if listing.error is not None:
            note(f"{listing.backend}: {explain(listing.error)}", kind="warning")
    silent = [listing.backend for listing in listings if not listing.cards]
    if silent and not (named and asked):
        why = "could not be asked, or have none" if asked else "name none, or need a key first"
        advice = "andon backends --health says why" if asked else "--ask asks them"
        note(f"{', '.join(silent)}: {why}; {advice}")


def _row(listing: Listing, card: ModelCard) -> tuple[str, ...]:
    return (
        f"{listing.backend}:{card.name}",
        "" if card.context_window is None else f"{card.context_window:,}",
        listing.locality.value,
        ", ".join(sorted(card.capabilities)),
        card.description,
    )


def _record(listing: Listing, card: ModelCard) -> dict[str, object]:
    return {
        "name": f"{listing.backend}:{card.name}",
        "backend": listing.backend,
        "model": card.name,
        "context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "capabilities": sorted(card.capabilities),
        "locality": listing.locality.value,
        "description": card.description,
    }
