"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from andon import CommandSpec, hookimpl

NAME = "{{ cookiecutter.name }}"
SUMMARY = "{{ cookiecutter.summary }}"


@hookimpl
def andon_register_commands() -> Iterable[CommandSpec]:
    """Offer ``andon {{ cookiecutter.name }}``."""
    return [CommandSpec(name=NAME, summary=SUMMARY, run=_run)]


def _run(arguments: Sequence[str]) -> int:
    # Imported here: the list of commands needs none of it.
    from {{ cookiecutter.__package }}.command import run

    return run(arguments)
