"""What the commands print: tables for the eye, JSON for machines, progress and warnings on stderr."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 160
STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON document on stdout (JSON has no infinity and no NaN)."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_error(message: str, code: int, as_json: bool) -> None:
    """One sentence on stderr; with ``--json`` also a document with the code on stdout."""
    sentence = " ".join(message.split())
    if as_json:
        print_json({"error": {"message": sentence, "exit_code": code}})
    typer.echo(f"spikec: error: {sentence}", err=True)


def print_warnings(warnings: Sequence[str]) -> None:
    """Each on a line of its own on stderr."""
    for warning in warnings:
        typer.secho(f"spikec: warning: {warning}", err=True, fg=typer.colors.YELLOW)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table on stdout; columns named in ``right`` are aligned to the right. Wide names fold, nothing is cut off."""
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # not markup: names may hold brackets
    # a pipe has no width of its own: wide enough that names stay on one line
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(highlight=False, width=width).print(table)


@contextmanager
def progress_bar(show: bool, *, left: bool = False) -> Iterator[Progress]:
    """A progress bar on stderr that leaves nothing behind; silent where stderr is no terminal.

    It shows the time that has passed, and with ``left`` the time that is left.
    """
    disabled = not show or not STDERR.is_terminal  # elsewhere it would leave an empty line
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    columns += [TimeRemainingColumn()] if left else []
    with Progress(*columns, console=STDERR, transient=True, disable=disabled) as progress:
        yield progress


def number(value: float | None) -> str:
    """A number in four significant digits; None stands for a bound that is not there."""
    return "any" if value is None else f"{value:.4g}"
