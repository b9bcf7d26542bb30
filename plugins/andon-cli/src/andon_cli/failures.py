"""How a command fails: a few lines on stderr, and an exit code that tells the kind."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from andon.errors import (
    AndonError,
    BudgetError,
    ConfigurationError,
    InvalidRequestError,
    PluginWarning,
    PrivacyViolation,
    SettingsError,
)
from andon_cli.terminal import safe, style, wrapped

DEBUG_VARIABLE = "ANDON_DEBUG"


class ExitCode(IntEnum):
    """What a command's end says to a script."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PRIVACY = 3
    BUDGET = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class ReaderGone(Exception):
    """Whoever read stdout has closed it."""


_CODES: tuple[tuple[type[AndonError], ExitCode], ...] = (
    (ConfigurationError, ExitCode.USAGE),
    (InvalidRequestError, ExitCode.USAGE),
    (PrivacyViolation, ExitCode.PRIVACY),
    (BudgetError, ExitCode.BUDGET),
)


def guarded(run: Callable[[], object]) -> int:
    """Run a command and return its exit code; whatever goes wrong is said on stderr.

    :param run: the command; what it returns is its exit code where it is a number.
    """
    with _spoken_warnings():
        try:
            code = run()
            sys.stdout.flush()
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            return _fail(error)
    return code if isinstance(code, int) else ExitCode.DONE


def report(error: Exception) -> None:
    """Say on stderr what went wrong, with the traceback where ``ANDON_DEBUG`` asks for it."""
    debug = os.environ.get(DEBUG_VARIABLE, "0") not in {"", "0"}
    if debug:
        traceback.print_exception(error)
    note(explain(error), kind="error")
    if not debug and not isinstance(error, AndonError | click.ClickException | OSError):
        note(f"this is a bug in andon or a plugin; {DEBUG_VARIABLE}=1 shows where", kind="hint")


def explain(error: Exception) -> str:
    """Return what went wrong, in words."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, AndonError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def note(text: str, *, kind: str = "note") -> None:
    """Write a line on stderr, marked as an ``error``, a ``warning``, a ``hint`` or a ``note``."""
    colours = {"error": "red", "warning": "yellow"}
    mark = style(f"{kind}:", sys.stderr, fg=colours.get(kind), bold=True)
    lines = wrapped(f"{kind}: {safe(text)}", sys.stderr)
    click.echo(mark + lines.removeprefix(f"{kind}:"), err=True)


def _fail(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        click.echo(err=True)
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError | ReaderGone):
        # The interpreter flushes stdout once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    if not isinstance(error, Exception):
        raise error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # It is the help itself, formatted already.
        click.echo(error.format_message(), err=True)
        return error.exit_code
    report(error)
    if isinstance(error, SettingsError):
        note("andon config check says in which line", kind="hint")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        note(f"try: {error.ctx.command_path} --help", kind="hint")
    return _code(error)


def _code(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        return error.exit_code
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Show warnings about plugins as a line of ours, without the place in the code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: object) -> None:
            if issubclass(category, PluginWarning):
                note(f"{message}; see: andon plugins", kind="warning")
            else:
                usual(message, category, *place)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        yield
