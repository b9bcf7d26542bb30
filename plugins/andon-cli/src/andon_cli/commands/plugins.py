"""``andon plugins``: the installed plugins, what is wrong with them, and a checkup of one."""

from __future__ import annotations

import json
import sys

import click

from andon.plugins import PluginInfo, PluginState
from andon_cli.app import App, quiet_plugins
from andon_cli.failures import ExitCode, explain, note
from andon_cli.options import json_option
from andon_cli.tables import Column, print_table

_COLUMNS = (
    Column("PLUGIN", "cyan"),
    Column("STATE"),
    Column("VERSION"),
    Column("DISTRIBUTION"),
    Column("OFFERS", least=24),
)


@click.group("plugins", invoke_without_command=True)
@json_option
@click.option("--check", is_flag=True, help="Exit with 1 if a plugin is broken.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, check: bool) -> None:
    """List the installed plugins, what they offer, and what is wrong with them.

    With "check NAME", hold one of them to the contract of everything that it offers.

    The exit code is 0 even if a plugin is broken, unless --check is given.
    """
    if ctx.invoked_subcommand is not None:
        return
    with quiet_plugins(), ctx.ensure_object(App).client() as client:
        infos = client.plugins.describe()
    broken = [info for info in infos if info.state is PluginState.FAILED]
    if as_json:
        click.echo(json.dumps([_record(info) for info in infos], ensure_ascii=False, indent=2))
    elif infos:
        print_table(_COLUMNS, [_row(info) for info in infos])
    else:
        note("no plugin is installed; try: pip install andon-llama-cpp andon-demo-model")
    if not as_json:
        sys.stdout.flush()
        for info in broken:
            note(f"{info}: {_cause(info)}", kind="error")
    if broken and check:
        ctx.exit(ExitCode.FAILED)


@command.command("check")
@click.argument("name")
@click.argument("tests", nargs=-1, type=click.Path(exists=True))
@json_option
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="BACKEND:MODEL",
    help="A model to load, or one whose price must be known.",
)
@click.option(
    "--ledger",
    "ledgers",
    multiple=True,
    metavar="URL",
    help="An empty ledger to try; {} becomes another name for each test.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of its backends and routers.",
)
@click.pass_context
def check_command(
    ctx: click.Context,
    name: str,
    tests: tuple[str, ...],
    as_json: bool,
    models: tuple[str, ...],
    ledgers: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Run the conformance kit on an installed plugin, and print a report for its README.

    A backend's server is played on this machine, and nothing is sent anywhere. TESTS are files or
    folders with tests of the plugin's own, which are run and told with the others. The exit code is
    1 if a test fails.
    """
    from andon_cli.plugin_check import checked, markdown

    report = checked(name, tests, model=models, ledger=ledgers, set=settings)
    click.echo(json.dumps(report, ensure_ascii=False, indent=2) if as_json else markdown(report))
    if not report["sound"]:
        ctx.exit(ExitCode.FAILED)


def _row(info: PluginInfo) -> tuple[str, ...]:
    offers = ", ".join(info.offers)
    return info.name, info.state.value, info.version, info.distribution, offers


def _record(info: PluginInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "state": info.state.value,
        "version": info.version,
        "distribution": info.distribution,
        "offers": list(info.offers),
        "error": _cause(info) or None,
    }


def _cause(info: PluginInfo) -> str:
    return "" if info.error is None else explain(info.error)
