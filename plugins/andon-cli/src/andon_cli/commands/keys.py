"""``andon keys``: which API keys there are, and where from. A key itself is never shown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import click

from andon_cli.app import App, quiet_plugins
from andon_cli.failures import note
from andon_cli.key_store import KeyStore
from andon_cli.options import json_option, read_stdin, stdin_is_terminal
from andon_cli.tables import Column, print_table

_COLUMNS = (
    Column("VARIABLE", "cyan"),
    Column("BACKENDS", least=12),
    Column("KEY"),
)


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of a key, but for the key.

    :param variable: the environment variable that may hold it.
    :param backends: the backends that read it.
    :param place: where it is: ``environment``, ``keyring``, ``settings``, or empty.
    """

    variable: str
    backends: tuple[str, ...]
    place: str


@click.group("keys")
def command() -> None:
    """List API keys, and keep them in the system's keyring. No key is ever shown.

    A variable of the environment goes before the keyring, and the settings go before both.
    """


@command.command("list")
@json_option
@click.pass_obj
def list_keys(app: App, as_json: bool) -> None:
    """List which keys are set, and where they are."""
    states = key_states(app)
    if as_json:
        records = [
            {
                "variable": state.variable,
                "backends": list(state.backends),
                "place": state.place or None,
            }
            for state in states
        ]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
    elif states:
        rows = [
            (state.variable, ", ".join(state.backends), state.place or "not set")
            for state in states
        ]
        print_table(_COLUMNS, rows)
    else:
        note("no installed backend needs a key")


@command.command("set")
@click.argument("name")
@click.pass_obj
def set_key(app: App, name: str) -> None:
    """Put a key into the keyring, for the variable NAME, or the backend NAME.

    It is asked for, and not shown; or read from stdin. It is no argument, since the shell would
    write it down.
    """
    variable = _variable(app, name)
    if stdin_is_terminal():
        key = click.prompt(f"Key for {variable}", hide_input=True, err=True)
    else:
        key = read_stdin()
    KeyStore.of(os.environ).put(variable, key.strip())
    if os.environ.get(variable):
        note(f"the environment variable {variable} is set, and goes before the keyring")
    if not any(state.backends for state in key_states(app) if state.variable == variable):
        note(f"no installed backend reads {variable}", kind="warning")
    click.echo(f"{variable} is in the keyring", err=True)


@command.command("remove")
@click.argument("name")
@click.pass_context
def remove_key(ctx: click.Context, name: str) -> None:
    """Remove the key for the variable NAME, or the backend NAME, from the keyring."""
    variable = _variable(ctx.ensure_object(App), name)
    if not KeyStore.of(os.environ).remove(variable):
        raise click.UsageError(f"the keyring has no key for {variable}", ctx)
    click.echo(f"{variable} is no longer in the keyring", err=True)


def key_states(app: App) -> list[KeyState]:
    """Return what is known of the keys that installed backends read, and of those in the keyring.

    :param app: knows what is installed.
    """
    readers: dict[str, list[str]] = {}
    with quiet_plugins(), app.client() as client:
        for name, spec in sorted(client.plugins.backends().items()):
            for variable in spec.key_variables:
                readers.setdefault(variable, []).append(name)
        endpoints = client.settings.endpoints
    stored = KeyStore.of(os.environ).names() if app.discover else frozenset[str]()
    return [
        KeyState(
            variable, tuple(backends), _place(variable, backends, endpoints, stored, app.discover)
        )
        for variable, backends in sorted({**{name: [] for name in stored}, **readers}.items())
    ]


def _place(
    variable: str,
    backends: list[str],
    endpoints: Mapping[str, Mapping[str, object]],
    stored: frozenset[str],
    discover: bool,
) -> str:
    if backends and all(endpoints.get(name, {}).get("api_key") for name in backends):
        return "settings"
    if discover and os.environ.get(variable, "").strip():
        return "environment"
    return "keyring" if variable in stored else ""


def _variable(app: App, name: str) -> str:
    """Return the variable that is meant: its name, or that of a backend which reads it."""
    if name.isupper():
        return name
    with app.client() as client:
        variables = client.plugins.backend(name).key_variables
    if not variables:
        raise click.UsageError(
            f"the backend {name!r} names no variable for a key", click.get_current_context()
        )
    return variables[0]
