"""``andon completion``: the script that makes a shell complete commands and models."""

from __future__ import annotations

import os
from pathlib import PurePath

import click

from andon_cli.completion import SHELLS, script


@click.command("completion")
@click.argument("shell", required=False, type=click.Choice(SHELLS))
def command(shell: str | None) -> None:
    r"""Print the script with which SHELL completes commands, options, models and backends.

    \b
    bash, in ~/.bashrc:  eval "$(andon completion bash)"
    zsh, in ~/.zshrc:    eval "$(andon completion zsh)"
    fish, once:          andon completion fish > ~/.config/fish/completions/andon.fish
    """
    name = shell or PurePath(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"name the shell: {', '.join(SHELLS)}", click.get_current_context())
    click.echo(script(name))
