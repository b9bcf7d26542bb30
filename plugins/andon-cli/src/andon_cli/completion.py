"""What a shell completes: commands, models, backends. No engine is loaded and nobody is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from andon.errors import AndonError
from andon_cli.app import App, quiet_plugins

if TYPE_CHECKING:
    from andon.client import Client

PROGRAM = "andon"
#: How the shell's script asks.
VARIABLE = "_ANDON_COMPLETE"
SHELLS = ("bash", "fish", "zsh")


@add_completion_class
class WholeWordBashComplete(BashComplete):
    """Completes in bash, which takes a colon for the end of a word, and a model has one."""

    source_template = """\
%(complete_func)s() {
    local line word prefix="" response type value
    line="${COMP_LINE:0:$COMP_POINT}"
    word="${line##*[[:space:]]}"
    # bash replaces only what follows the last colon.
    if [[ "$word" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        prefix="${word%%:*}:"
    fi
    response=$(COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=, read -r type value; do
        case "$type" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$prefix"}") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words[:-1], words[-1]) if words and not line[-1:].isspace() else (words, "")


def script(shell: str) -> str:
    """Return the script that makes a shell complete.

    :param shell: one of :data:`SHELLS`.
    """
    from andon_cli.main import cli

    kind: type[ShellComplete] | None = get_completion_class(shell)
    assert kind is not None, "the shells are those that click knows"
    return kind(cli, {}, PROGRAM, VARIABLE).source()


def complete_models(
    ctx: click.Context, option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete ``backend:model``, or the name of a route."""
    if option.nargs == -1 and option.name and ctx.params.get(option.name):
        return []  # the question follows
    return _items(ctx, incomplete, model_names)


def complete_backends(
    ctx: click.Context, option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a backend."""

    def names(client: Client) -> Iterator[tuple[str, str]]:
        for name, spec in sorted(client.plugins.backends().items()):
            yield name, spec.summary

    return _items(ctx, incomplete, names)


def model_names(client: Client) -> Iterator[tuple[str, str]]:
    """Give the names that can stand for a model, each with a word on it; no backend is made.

    :param client: knows plugins and settings.
    """
    for route, policy in sorted(client.settings.routes.items()):
        yield route, ", ".join(policy.models)
    backends = client.plugins.backends()
    cards = client.plugins.model_cards()
    for name, spec in sorted(backends.items()):
        said = dict.fromkeys(spec.models, spec.summary)
        # Where a card names no backend, any may serve it; those in the process know files.
        said |= {card.name: card.description for card in cards if name in card.backends}
        for model, summary in said.items():
            yield f"{name}:{model}", summary


def _items(
    ctx: click.Context, incomplete: str, names: Callable[[Client], Iterator[tuple[str, str]]]
) -> list[CompletionItem]:
    # Whatever is broken, a shell is no place to say so.
    with suppress(AndonError, OSError), quiet_plugins():
        with (ctx.find_object(App) or App()).client() as client:
            found = list(names(client))
        return [CompletionItem(n, help=text) for n, text in found if n.startswith(incomplete)]
    return []
