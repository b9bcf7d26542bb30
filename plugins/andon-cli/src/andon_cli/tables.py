"""Tables: aligned columns for programs, and for people whatever fits their terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from andon_cli.terminal import is_styled, is_terminal, safe, style, width

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Blanks between two columns.
_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :param title: what stands above it.
    :param colour: the colour of its cells on a terminal.
    :param least: how narrow it may become on a terminal; its cells are never broken where None.
    :param right: whether its cells end below each other, as numbers do.
    """

    title: str
    colour: str = ""
    least: int | None = None
    right: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, or one below the other where the terminal is too narrow.

    :param columns: the columns.
    :param rows: the cells of each row.
    """
    rows = [[safe(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        _print_columns(columns, rows, _natural(columns, rows))
        return
    columns, rows = _filled(columns, rows)
    widths = _fitted(columns, _natural(columns, rows), width())
    if widths is None:
        _print_records(columns, rows)
    else:
        _print_columns(columns, rows, widths)


def _filled(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """Return columns and rows without the columns that are empty throughout."""
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how wide the columns are if nothing is broken."""
    from rich.cells import cell_len

    return [
        max(cell_len(text) for text in (column.title, *(row[index] for row in rows)))
        for index, column in enumerate(columns)
    ]


def _fitted(columns: Sequence[Column], widths: list[int], room: int) -> list[int] | None:
    """Return widths that fit, taken from the widest column first, or None if there are none."""
    widths = list(widths)
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        slack = [
            (wide, index)
            for index, (column, wide) in enumerate(zip(columns, widths, strict=True))
            if column.least is not None and wide > column.least
        ]
        if not slack:
            return None
        widths[max(slack)[1]] -= 1
    return widths


def _print_columns(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, wide in zip(columns, widths, strict=True):
        table.add_column(
            column.title,
            style=column.colour,
            width=wide,
            overflow="fold",
            justify="right" if column.right else "left",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _print_rich(table, sum(widths) + _GAP * len(widths))


def _print_records(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(rows):
        if number:
            click.echo()
        click.echo(style(row[0], sys.stdout, fg=columns[0].colour, bold=True))
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                grid.add_row(column.title.lower(), Text(cell))
        _print_rich(Padding(grid, (0, 0, 0, _GAP)), width())


def _print_rich(renderable: RenderableType, columns_wide: int) -> None:
    from rich.console import Console

    console = Console(
        file=sys.stdout,
        color_system="auto" if is_styled(sys.stdout) else None,
        force_terminal=is_styled(sys.stdout),
        width=columns_wide,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=True)
