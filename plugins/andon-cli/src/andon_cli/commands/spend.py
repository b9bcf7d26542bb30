"""``andon spend``: what was spent, and what the budgets have left."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from andon_cli.app import App
from andon_cli.money import usd as _usd
from andon_cli.options import json_option
from andon_cli.plots import bar, room_for_bars
from andon_cli.tables import Column, print_table
from andon_cli.terminal import style

if TYPE_CHECKING:
    from andon.budget import BackendSpending, BudgetState, ModelSpending, SpendReport

_BACKENDS = (
    Column("BACKEND", "cyan"),
    Column("REQUESTS", right=True),
    Column("SPENT", right=True),
    Column("HELD", right=True),
)
_MODELS = (
    Column("MODEL", "cyan", least=20),
    Column("REQUESTS", right=True),
    Column("SPENT", right=True),
    Column("HELD", right=True),
)
_BUDGETS = (
    Column("BUDGET", "cyan"),
    Column("PERIOD"),
    Column("USED", right=True),
    Column("OF", right=True),
    Column("LEFT", right=True),
)


@click.command("spend")
@click.option(
    "--days", type=click.IntRange(1, 366), default=14, show_default=True, help="Days to go back."
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the days as CSV, for spreadsheets.")
@click.pass_obj
def command(app: App, days: int, as_json: bool, as_csv: bool) -> None:
    """Show what was spent today, by backend, model and budget, and on the last days."""
    with app.client() as client:
        report = client.breaker.report(days)
    if as_json:
        click.echo(json.dumps(_record(report), ensure_ascii=False, indent=2))
    elif as_csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(("day", "usd"))
        rows.writerows((day, f"{usd:f}") for day, usd in report.days.items())
    else:
        _show(report)


def _show(report: SpendReport) -> None:
    click.echo(f"Today, {report.day}: {_usd(report.today_usd)}\n")
    if report.models:
        if len(report.backends) > 1:
            print_table(_BACKENDS, [_row(row.backend, row) for row in report.backends])
            click.echo()
        print_table(_MODELS, [_row(f"{row.backend}:{row.model}", row) for row in report.models])
        click.echo()
    limited = [state for state in report.budgets if state.limit_usd is not None]
    if limited:
        print_table(_BUDGETS, [_budget_row(state) for state in limited])
        click.echo()
    _plot(report.days)


def _plot(days: Mapping[str, Decimal]) -> None:
    """Show what each day cost, as a bar as wide as the terminal leaves room for."""
    amounts = {day: _usd(usd) for day, usd in days.items()}
    beside = max(len(day) + len(amount) for day, amount in amounts.items()) + 4
    room, most = room_for_bars(beside), max(days.values())
    for day, usd in days.items():
        drawn = style(bar(float(usd / most) if most else 0.0, room), sys.stdout, fg="cyan")
        click.echo(f"{day}  {drawn}{' ' if usd else ''}{amounts[day]}")


def _row(name: str, row: BackendSpending | ModelSpending) -> tuple[str, ...]:
    return name, f"{row.requests:,}", _usd(row.spent_usd), _usd(row.held_usd)


def _budget_row(state: BudgetState) -> tuple[str, ...]:
    limit = state.limit_usd or Decimal(0)
    name = "daily" if state.name == "all" else state.name
    left = max(limit - state.used_usd, Decimal(0))
    return name, state.period, _usd(state.used_usd), _usd(limit), _usd(left)


def _record(report: SpendReport) -> dict[str, object]:
    return {
        "day": report.day,
        "usd": f"{report.today_usd:f}",
        "backends": [
            {
                "backend": row.backend,
                "requests": row.requests,
                "spent_usd": f"{row.spent_usd:f}",
                "held_usd": f"{row.held_usd:f}",
            }
            for row in report.backends
        ],
        "models": [
            {
                "backend": row.backend,
                "model": row.model,
                "requests": row.requests,
                "spent_usd": f"{row.spent_usd:f}",
                "held_usd": f"{row.held_usd:f}",
            }
            for row in report.models
        ],
        "budgets": [
            {
                "name": state.name,
                "period": state.period,
                "used_usd": f"{state.used_usd:f}",
                "limit_usd": None if state.limit_usd is None else f"{state.limit_usd:f}",
            }
            for state in report.budgets
        ],
        "days": {day: f"{usd:f}" for day, usd in report.days.items()},
    }
