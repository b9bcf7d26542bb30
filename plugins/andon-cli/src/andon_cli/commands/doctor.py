"""``andon doctor``: looks at what is in force, and whether it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from andon_cli.app import App
from andon_cli.checks import Check, State
from andon_cli.failures import ExitCode
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

#: The sections and what each looks at; their modules load when they are wanted.
SECTIONS: Mapping[str, str] = {
    "privacy": "What keeps data near, with a canary for each layer.",
}

_COLUMNS = (Column("CHECK", "cyan"), Column("STATE"), Column("DETAIL", least=24))


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
        for name, checks in found.items():
            if len(found) > 1:
                click.echo(f"{name}\n")
            print_table(_COLUMNS, [(check.name, check.state, check.detail) for check in checks])
    if any(check.state is State.FAILED for checks in found.values() for check in checks):
        ctx.exit(ExitCode.FAILED)


for _name, _summary in SECTIONS.items():
    command = click.option(f"--{_name}", is_flag=True, help=_summary)(command)


def _look(app: App, name: str) -> Sequence[Check]:
    checks: Sequence[Check] = import_module(f"andon_cli.checks.{name}").check(app)
    return checks


def _record(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state.value, "detail": check.detail}
