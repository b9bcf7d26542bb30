"""``andon doctor``: looks at what is in force, and whether it holds."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from andon.errors import AndonError
from andon_cli.app import App
from andon_cli.checks import Check, State
from andon_cli.failures import ExitCode
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table
from andon_cli.terminal import is_terminal, safe, style, width

#: The sections and what each looks at; their modules load when they are wanted.
SECTIONS: Mapping[str, str] = {
    "versions": "What runs here.",
    "settings": "Files and variables: whether they are right.",
    "plugins": "Every plugin, and what is wrong with it.",
    "keys": "Which API keys are there, and where. None is shown.",
    "servers": "Every backend that may be asked: whether it can serve.",
    "ledger": "Where spending is kept: whether it can be read and written.",
    "privacy": "What keeps data near, with a canary for each layer.",
}

_COLUMNS = (Column("CHECK"), Column("STATE"), Column("DETAIL"))
_COLOURS = {State.OK: "green", State.OFF: "yellow", State.FAILED: "red"}
#: How far the details stand from the left edge of a terminal.
_MARGIN = 8


@click.command("doctor")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **wanted: bool) -> None:
    """Check what is in force, and whether it holds; every section, or the ones that are named.

    The exit code is 1 if something fails that should hold.
    """
    app = ctx.ensure_object(App)
    names = [name for name in SECTIONS if wanted[name]] or list(SECTIONS)
    found = {name: _look(app, name) for name in names}
    if as_json:
        record = {name: [_record(check) for check in checks] for name, checks in found.items()}
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        for number, (name, checks) in enumerate(found.items()):
            if len(found) > 1:
                click.echo(("\n" if number else "") + style(name.upper(), sys.stdout, bold=True))
            _show(checks)
    if any(check.state is State.FAILED for checks in found.values() for check in checks):
        ctx.exit(ExitCode.FAILED)


for _name, _summary in SECTIONS.items():
    command = click.option(f"--{_name}", is_flag=True, help=_summary)(command)


def _look(app: App, name: str) -> Sequence[Check]:
    try:
        checks: Sequence[Check] = import_module(f"andon_cli.checks.{name}").check(app)
    except AndonError as error:
        # A broken setting must not hide what else is wrong.
        return [Check(name, State.FAILED, str(error))]
    return checks


def _show(checks: Sequence[Check]) -> None:
    if not is_terminal(sys.stdout):
        print_table(_COLUMNS, [(check.name, check.state, check.detail) for check in checks])
        return
    for check in checks:
        name = safe(check.name)
        first, *more = textwrap.wrap(f"{name} – {safe(check.detail)}", width() - _MARGIN)
        mark = style(f"{check.state:<{_MARGIN}}", sys.stdout, fg=_COLOURS[check.state])
        if first.startswith(name):
            first = style(name, sys.stdout, bold=True) + first.removeprefix(name)
        click.echo(mark + first)
        for line in more:
            click.echo(" " * _MARGIN + line)


def _record(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state.value, "detail": check.detail}
