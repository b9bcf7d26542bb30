"""``andon batch``: a file of requests is answered, and goes on where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from andon.errors import BudgetError, ConfigurationError
from andon_cli.app import App
from andon_cli.failures import ExitCode, note
from andon_cli.interrupts import stop_on_interrupt
from andon_cli.options import privacy_option
from andon_cli.terminal import is_terminal

if TYPE_CHECKING:
    from andon.batch import BatchEngine, BatchProgress, BatchReport


@click.command("batch")
@click.argument("requests", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "answers",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of answers; what it has already is not asked again.",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    help="Answers in the place of the models in the file; several in order of preference.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Requests that are under way at once; with workers, in each of them.",
)
@click.option(
    "--engine",
    default="local",
    show_default=True,
    help="What asks: this process, or an engine of a plugin, like ray.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes of the engine.")
@click.option("--retry-errors", is_flag=True, help="Ask again what went wrong or was killed.")
@privacy_option
@click.pass_obj
def command(
    app: App,
    requests: Path,
    answers: Path,
    models: tuple[str, ...],
    concurrency: int,
    engine: str,
    workers: int | None,
    retry_errors: bool,
    privacy: str | None,
) -> int:
    """Answer a file of requests in OpenAI's batch format, in parallel.

    REQUESTS has a JSON object on each line: custom_id, and body as for /v1/chat/completions.
    Started again, it asks what is not answered yet. Exit code 1 says that some answers are errors.
    """
    from andon.batch import BatchJob, run_batch

    job = BatchJob(
        make_client=partial(app.async_client, privacy),
        settings=app.settings_of_clients(privacy),
        models=models,
        concurrency=concurrency,
        workers=workers,
    )
    asking = _engine(app, engine, workers)
    try:
        with _shown() as show, stop_on_interrupt(_say_stopping) as stop:
            report = run_batch(
                requests,
                answers,
                job,
                engine=asking,
                retry_errors=retry_errors,
                on_progress=show,
                stop=stop,
            )
    except KeyboardInterrupt:
        _say_interrupted(answers)
        raise
    code = _conclude(report)
    if stop.is_set() and report.done < report.total:
        _say_interrupted(answers)
        return ExitCode.INTERRUPTED
    return code


def _say_interrupted(answers: Path) -> None:
    note(f"stopped; the same command goes on, with what is not yet in {answers}")


def _say_stopping() -> None:
    if is_terminal(sys.stderr):
        click.echo(err=True)  # the line has the terminal's ^C
    note("what is under way is finished; ctrl-c again drops it, though it may be paid for")


def _engine(app: App, name: str, workers: int | None) -> BatchEngine | None:
    if name == "local":
        if workers is not None:
            raise click.UsageError("--workers is for engines with several processes; see --engine")
        return None
    with app.client() as client:
        spec = client.plugins.batch_engine(name)
    if spec is None:
        raise ConfigurationError(
            f"no installed plugin offers the engine {name!r}; try: pip install andon-{name}"
        )
    return spec.create()


def _conclude(report: BatchReport) -> int:
    """Say how it ended, and return the exit code."""
    now = report.done - report.earlier - report.lost
    parts = [f"{now:,} of {report.total:,} requests answered"]
    if report.earlier:
        parts.append(f"{report.earlier:,} before")
    if report.failed:
        parts.append(f"{report.failed:,} with an error")
    if report.cost_usd:
        parts.append(f"${report.cost_usd:f}")
    click.echo(", ".join(parts), err=True)
    if report.lost:
        note(
            f"{report.lost:,} requests were under way when they were dropped or killed; they may "
            "be paid for, so they are errors now: --retry-errors asks them again",
            kind="warning",
        )
    if report.stopped is not None:
        _say_stopped(report)
        raise report.stopped
    return ExitCode.FAILED if report.failed else ExitCode.DONE


def _say_stopped(report: BatchReport) -> None:
    left = report.total - report.done
    when = "when there is budget again" if isinstance(report.stopped, BudgetError) else "then"
    note(f"{left:,} requests are left; the same command goes on with them {when}", kind="warning")


@contextmanager
def _shown() -> Iterator[Callable[[BatchProgress], None]]:
    """Show a bar on a terminal; elsewhere nothing before the end."""
    if not is_terminal(sys.stderr):
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (BarColumn(), MofNCompleteColumn(), Remaining(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def show(progress: BatchProgress) -> None:
            errors = f"{progress.failed:,} errors" if progress.failed else ""
            cost = f"${progress.cost_usd:.4f}" if progress.cost_usd else ""
            told = "  ".join(part for part in (errors, cost) if part)
            bar.update(task, completed=progress.done, total=progress.total, description=told)

        yield show
