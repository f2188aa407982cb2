"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTICE = "Research use only."

_WIDE = 200
"""Columns of a pipe that no terminal shows."""

SOME_LACKING = 3
"""Exit code: done, with something refused, failed or left out, as printed."""


def print_json(value: BaseModel | Sequence[Any] | dict[str, Any]) -> None:
    """Print a report as JSON, the same on a terminal and in a pipe."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)  # part by part: a large index takes a GB as one text
    print()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, to_stderr: bool = False) -> None:
    """Print rows under column names, numbers to the right, never cutting a value off or breaking a word.

    Where the line is too short for that, each row is printed as names and values below each other.

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
    cells = [[_shown(value) for value in row] for row in rows]
    out = console(to_stderr=to_stderr)
    if (widths := _widths(columns, cells, out.width - 3 * len(columns) - 1)) is None:
        _print_records(out, title, columns, cells)
        return
    table = Table(title=Text(title), caption=NOTICE, title_justify="left", caption_justify="left")
    for number, (name, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = bool(rows) and all(isinstance(row[number], int | float | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    out.print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values below each other; a word that is longer than the line, as a path, is never broken."""
    _print_pairs(console(), list(facts.items()))


def print_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under column names without a frame, or as names and values where the line is too short."""
    out = console()
    if (widths := _widths(columns, rows, out.width - 2 * len(columns))) is None:
        for row in rows:
            _print_pairs(out, list(zip(columns, row, strict=True)))
            out.print()
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return the width of each column, or None where a word would have to be broken.

    A UID that is in two lines can't be copied or found; rich alone would break the longest words first.
    """
    texts = list(zip(columns, *rows, strict=True))
    most = [max(map(len, "\n".join(of).splitlines()), default=0) for of in texts]
    widths = [max((len(word) for text in of for word in text.split()), default=0) for of in texts]
    for _ in range(room - sum(widths)):
        wanting = [number for number, width in enumerate(widths) if width < most[number]]
        if not wanting:
            break
        widths[min(wanting, key=lambda number: widths[number] / most[number])] += 1
    return widths if sum(widths) <= room else None


def _print_records(out: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row as names and values, with an empty line after it."""
    out.print(Text(title))
    for row in rows:
        _print_pairs(out, list(zip(columns, row, strict=True)))
        out.print()
    out.print(Text(NOTICE))


def _print_pairs(out: Console, pairs: Sequence[tuple[str, str]]) -> None:
    room = max((len(name) for name, _ in pairs), default=0) + 2
    for name, text in pairs:
        lines = wrap(
            text,
            out.width,
            initial_indent=f"{name:{room}}",
            subsequent_indent=" " * room,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines or [name]:
            out.print(Text(line), soft_wrap=True)


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def print_line(text: str, *, to_stderr: bool = False) -> None:
    """Print a sentence for people."""
    console(to_stderr=to_stderr).print(Text(text), soft_wrap=True)


def console(*, to_stderr: bool = False) -> Console:
    """Return the console of standard output; a pipe without a terminal gets wide lines, so that `grep` finds values."""
    plain = Console(highlight=False, stderr=to_stderr)
    return plain if plain.is_terminal else Console(highlight=False, width=_pipe_width(), stderr=to_stderr)


def _pipe_width() -> int:
    """Return the columns of a pipe: ``COLUMNS``, or the width of the terminal that shows the errors."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(2).columns or _WIDE
    except OSError:
        return _WIDE


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
