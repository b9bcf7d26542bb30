"""Options and arguments that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from andon.privacy import PrivacyTier

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

raw_option = click.option(
    "--raw", is_flag=True, help="Show Markdown as it came, on a terminal too."
)

privacy_option = click.option(
    "--privacy",
    type=click.Choice([tier.value for tier in PrivacyTier]),
    help="Where the data may go: sovereign keeps it on this machine.",
)

_REQUEST = (
    click.option(
        "--max-tokens", type=click.IntRange(min=1), help="Most tokens that an answer may have."
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(min=0),
        help="0 always takes the most likely token.",
    ),
    click.option("--seed", type=int, help="Makes the choice of tokens repeatable."),
    privacy_option,
)


def request_options(function: F) -> F:
    """Add the options of a request: ``max_tokens, temperature, seed, privacy``."""
    for option in reversed(_REQUEST):
        function = option(function)
    return function


def read_stdin() -> str:
    """Return all of stdin.

    :raises click.UsageError: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the text on stdin is not UTF-8: {error.reason}") from None


def stdin_is_terminal() -> bool:
    """Return whether a person would have to type what is read from stdin."""
    return sys.stdin is not None and sys.stdin.isatty()
