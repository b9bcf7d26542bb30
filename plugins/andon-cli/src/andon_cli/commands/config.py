"""``andon config``: what is wrong with the settings, what is in force, and their schema."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from andon_cli.app import App
from andon_cli.failures import ExitCode
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table
from andon_cli.terminal import is_terminal, safe, style, width, wrapped

if TYPE_CHECKING:
    from andon_cli.config.findings import Finding

_COLUMNS = (
    Column("SETTING", "cyan"),
    Column("VALUE", least=20),
    Column("FROM", least=20),
)
#: Narrower terminals show a setting below the other, as a file has them.
_TABLE_WIDTH = 80


@click.group("config")
def command() -> None:
    """Check andon.toml, show the settings in force, or print a schema for editors."""


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Say what is wrong with FILE, or with the settings that are read from here, and in which line.

    Nothing is sent, and no ledger is opened. The exit code is 2 if there is an error; warnings
    do not count.
    """
    from andon_cli.config.findings import Severity, check_file, check_variables
    from andon_cli.config.origins import settings_files

    app = ctx.ensure_object(App)
    if file is not None:
        files, found = [file], []
    else:
        files = [path for path in settings_files(os.environ) if path.is_file()]
        found = check_variables(os.environ)
    found += [finding for path in files for finding in check_file(app, path)]
    if as_json:
        click.echo(json.dumps([_record(one) for one in found], ensure_ascii=False, indent=2))
    else:
        _show(found, files)
    if any(one.severity is Severity.ERROR for one in found):
        ctx.exit(ExitCode.USAGE)


@command.command("show")
@json_option
@click.pass_obj
def show(app: App, as_json: bool) -> None:
    """Show every setting that is in force here, and where it comes from. Secrets are not shown."""
    from andon_cli.config.origins import DEFAULT, effective

    rows = effective(app)
    if as_json:
        records = {row.setting: {"value": row.value, "from": row.source} for row in rows}
        click.echo(json.dumps(records, ensure_ascii=False, indent=2))
    elif is_terminal(sys.stdout) and width() < _TABLE_WIDTH:
        for row in rows:
            click.echo(f"{style(row.setting, sys.stdout, fg='cyan')} = {safe(row.value)}")
            if row.source != DEFAULT:
                click.echo(style(f"  # {row.source}", sys.stdout, dim=True))
    else:
        print_table(_COLUMNS, [(row.setting, row.value, row.source) for row in rows])


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of andon.toml, for editors that complete and check TOML by one."""
    from andon_cli.config.schema import settings_schema

    click.echo(json.dumps(settings_schema(), ensure_ascii=False, indent=2))


def _show(found: Sequence[Finding], files: Sequence[Path]) -> None:
    for number, finding in enumerate(found):
        if number and is_terminal(sys.stdout):
            click.echo()
        _show_one(finding)
    if not found:
        read = ", ".join(str(path) for path in files) or "no file is read here: the defaults hold"
        click.echo(f"nothing is wrong ({read})")


def _show_one(finding: Finding) -> None:
    """Print a finding as compilers do, so that editors and people find the place."""
    place, span = finding.source, finding.span
    if span is not None:
        place += f":{span.line}:{span.column}"
    elif finding.way:
        place += f": {finding.setting}"
    colour = "red" if finding.severity == "error" else "yellow"
    mark = style(f"{finding.severity}:", sys.stdout, fg=colour, bold=True)
    head = f"{place}: {finding.severity}:"
    told = wrapped(f"{head} {safe(finding.message)}", sys.stdout)
    if told.startswith(head):
        told = f"{style(place, sys.stdout, bold=True)}: {mark}{told.removeprefix(head)}"
    click.echo(told)
    if span is not None and is_terminal(sys.stdout):
        _show_line(Path(finding.source), span.line, span.column, span.length, colour)


def _show_line(file: Path, line: int, column: int, length: int, colour: str) -> None:
    """Print the line, and a mark under what is wrong in it, as far as the terminal is wide."""
    text = file.read_text(encoding="utf-8").split("\n")[line - 1].replace("\t", " ")
    margin = f"{line:>5} | "
    room = max(width() - len(margin), 10)
    start = column - 1
    # The mark must be seen even far to the right.
    first = min(start, max(0, start + length - room))
    click.echo(style(margin, sys.stdout, dim=True) + safe(text[first : first + room]))
    carets = "^" * min(length, first + room - start)
    under = " " * (start - first) + style(carets, sys.stdout, fg=colour)
    click.echo(style(" " * 5 + " | ", sys.stdout, dim=True) + under)


def _record(finding: Finding) -> dict[str, object]:
    span = finding.span
    return {
        "source": finding.source,
        "line": None if span is None else span.line,
        "column": None if span is None else span.column,
        "severity": finding.severity.value,
        "setting": finding.setting or None,
        "message": finding.message,
    }
