"""What commands print on standard output: tables for people, JSON for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTICE = "Research use only."

SOME_LACKING = 3
"""Exit code: done, with something refused, failed or left out, as the output says."""


def print_json(value: BaseModel | Sequence[Any] | dict[str, Any]) -> None:
    """Print a report as JSON, the same on a terminal and in a pipe."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, to_stderr: bool = False) -> None:
    """Print rows under column names, numbers to the right, never cutting a value off.

    Parameters
    ----------
    title : str
        Above the table.
    columns : sequence of str
        Names of the columns.
    rows : iterable of sequences
        One value for each column; None is shown as a dash.
    to_stderr : bool
        Whether it is a question's, and not the answer that a program reads.
    """
    rows = list(rows)
    table = Table(title=Text(title), caption=NOTICE, title_justify="left", caption_justify="left")
    for number, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    console(to_stderr=to_stderr).print(table)


def print_line(text: str, *, to_stderr: bool = False) -> None:
    """Print a sentence for people."""
    console(to_stderr=to_stderr).print(Text(text), soft_wrap=True)


def console(*, to_stderr: bool = False) -> Console:
    """Return the console of standard output; a pipe gets wide lines, for `grep` to find whole values."""
    plain = Console(highlight=False, stderr=to_stderr)
    return plain if plain.is_terminal else Console(highlight=False, width=200, stderr=to_stderr)


def write_csv(file: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write rows to a CSV file."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def span(first: int | None, last: int | None) -> str | None:
    """Write a run of numbers.

    Examples
    --------
    >>> span(3, 5), span(4, 4)
    ('3 to 5', '4')
    """
    if first is None or first == last:
        return None if first is None else str(first)
    return f"{first} to {last}"
