"""What users see of each fault, what is lost, and how long it takes: a table that the tests fill in, docs/faults.md."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

HEAD = """# What happens when things break

The table is written by the tests that cause each fault (`make test-faults`), on {machine}.
Each row is one test with the servers of `infra/compose.yaml`, run as processes with the exact commands of that file,
each in its own network namespace; a test server replaces SeaweedFS. The second column is what the program printed.
"Lost" lists what is missing afterwards from store, catalog and model registry, compared with an undisturbed run; times
are those of the run shown. Numbers identify the tests; 3 and 11 are not used. Research use only.

| | Fault | What the user sees | Lost | Recovery |
|---|---|---|---|---|
"""


@dataclass
class Row:
    """One fault, and its place in the table."""

    fault: str
    seen: str
    lost: str
    recovery: str
    order: int


@dataclass
class FaultTable:
    """The rows so far."""

    rows: list[Row] = field(default_factory=list)

    def add(self, order: int, fault: str, *, seen: str, lost: str = "nothing", recovery: str) -> None:
        """Take note of what a fault did."""
        self.rows.append(Row(fault, seen, lost, recovery, order))

    def write(self, page: Path = PAGE) -> None:
        """Write the page, the faults in their own order; rows of tests that did not run stay as they are."""
        lines = _rows_of(page) | {
            row.order: f"| {row.order} | {row.fault} | {_cell(row.seen)} | {row.lost} | {row.recovery} |"
            for row in self.rows
        }
        body = "\n".join(lines[order] for order in sorted(lines))
        page.write_text(HEAD.format(machine=machine()) + body + "\n", encoding="utf-8")


def machine() -> str:
    """Return what kind of machine this is.

    Examples
    --------
    >>> machine().startswith(str(psutil.cpu_count()))
    True
    """
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    return f"{psutil.cpu_count()} cores ({platform.machine()}) with {memory_gib} GiB of memory"


def sentence(said: str) -> str:
    """Return the error that a command ended with, or the last line of what it said.

    Examples
    --------
    >>> sentence("preprocess: 3 of 12\\nerror: store: the disk must have room\\n")
    'error: store: the disk must have room'
    """
    errors = re.findall(r"error: .*", said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return str((errors or lines or ["nothing"])[-1])


def _rows_of(page: Path) -> dict[int, str]:
    """Return the rows of a page by their numbers."""
    if not page.is_file():
        return {}
    found = re.findall(r"^\| (\d+) \|.*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.findall(r"^\| \d+ \|.*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(map(int, found), lines, strict=True))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
