"""``andon``: finds the command, runs it, and turns what goes wrong into words and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from andon.errors import AndonError
from andon_cli.app import App, quiet_plugins
from andon_cli.failures import ReaderGone, explain, guarded, note
from andon_cli.terminal import width

if TYPE_CHECKING:
    from andon.specs import CommandSpec

#: The commands and what the list of commands says of each; their modules load when they are used.
COMMANDS = {
    "chat": "Chat with a model, or ask it one question.",
    "ask": "Ask a model one question, about a piped text if there is one.",
    "complete": "Let a model continue a raw text.",
    "batch": "Answer a file of requests, and go on where it was stopped.",
    "models": "List the models that can be asked for by name.",
    "backends": "List the installed backends.",
    "plugins": "List the installed plugins and what is wrong with them.",
    "spend": "Show what was spent, and what the budgets have left.",
    "price": "Show what a model costs, and where that is known from.",
    "simulate": "Try settings on a simulated load: waits, spillover, costs.",
    "template": "Show the prompt that a model gets to read.",
    "keys": "List API keys, and keep them in the system's keyring.",
    "completion": "Print the script with which a shell completes.",
    "config": "Check andon.toml, or show the settings in force.",
    "doctor": "Check what is in force, and whether it holds.",
    "sovereign": "Run a program that the kernel keeps on this machine.",
}


class CommandGroup(click.Group):
    """The commands of andon and of its plugins, each loaded when it is used."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line; see :meth:`click.Command.main`."""
        run: Callable[..., Any] = super().main
        # click by itself never goes below 50 columns.
        extra.setdefault("terminal_width", min(width(), 82) - 2)
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        sys.exit(guarded(lambda: run(*args, standalone_mode=False, **extra)))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would take it for a failure.
            raise ReaderGone from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so; no command is loaded for it."""
        summaries = {**COMMANDS, **{spec.name: spec.summary for spec in _offered(ctx)}}
        items = [
            CompletionItem(name, help=summary)
            for name, summary in summaries.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, those of plugins last."""
        return [*COMMANDS, *(spec.name for spec in _offered(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of this name."""
        if cmd_name in COMMANDS:
            module = import_module(f"andon_cli.commands.{cmd_name}")
            command: click.Command = module.command
            return command
        spec = ctx.ensure_object(App).commands().get(cmd_name)
        return None if spec is None else _of_plugin(spec)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, and the arguments after it."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            near = get_close_matches(name, self.list_commands(ctx), n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{advice}", ctx)
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        offered = [(spec.name, spec.summary) for spec in _offered(ctx)]
        if offered:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(offered)


def _offered(ctx: click.Context) -> Sequence[CommandSpec]:
    """Return the commands of plugins; a broken setting must not take the help away."""
    try:
        with quiet_plugins():
            commands = ctx.ensure_object(App).commands()
    except AndonError as error:
        if not ctx.resilient_parsing:  # as it is where a shell completes
            note(f"the commands of plugins are not listed: {explain(error)}", kind="warning")
        return ()
    return [spec for name, spec in sorted(commands.items()) if name not in COMMANDS]


def _of_plugin(spec: CommandSpec) -> click.Command:
    """Return a plugin's command, which reads its arguments itself, ``--help`` included."""

    def run(arguments: tuple[str, ...]) -> int:
        return spec.run(arguments)

    return click.Command(
        spec.name,
        callback=run,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        add_help_option=False,
        short_help=spec.summary,
    )


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    import platform

    import andon
    from andon_cli import __version__

    python = platform.python_version()
    click.echo(f"andon {andon.__version__} (andon-cli {__version__}, Python {python})")
    ctx.exit()


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a backend failed, 2 wrong usage or request, 3 forbidden by the "
    "privacy tier, 4 refused by a budget, 130 interrupted. ANDON_DEBUG=1 shows tracebacks.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One interface to every model server, local or remote.

    A model is named as BACKEND:MODEL, like llama-cpp:demo.
    """
    ctx.ensure_object(App)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line with the arguments of the process."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks is no reason to lose the answer.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        if "_ANDON_COMPLETE" in os.environ:
            # A shell asks; the way in which bash does is registered there.
            import_module("andon_cli.completion")
        cli.main(prog_name="andon")
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else 1)
        raise


def _leave(code: int) -> None:
    """End the process at once if a thread is inside an engine or waits for a server.

    Such a thread cannot be stopped from here, and the interpreter's end would pull the ground from
    under it.
    """
    answers = sys.modules.get("andon_cli.answers")
    if answers is not None and answers.still_reading():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
