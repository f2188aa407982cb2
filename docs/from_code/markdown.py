"""Markdown of the generated pages: cells, tables, values."""

from __future__ import annotations

from typing import Any

MADE = "<!-- Written by `python -m docs.generate` from {source}; edit that. -->"

WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "date": "date",
}


def toml(value: Any) -> str:
    """Return a value as TOML writes it.

    Examples
    --------
    >>> toml(True), toml("scan"), toml(()), toml(0.001)
    ('true', '"scan"', '[]', '0.001')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{}" if not value else str(value)
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def cell(text: str) -> str:
    """Return a text for a cell of a table: in one line, with what Markdown would read as its own escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def table(head: tuple[str, ...], rows: list[str]) -> str:
    """Return a table of its head and of rows that are written already."""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows])
