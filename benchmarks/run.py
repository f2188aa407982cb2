"""Run the benchmarks that compare, at small sizes, and write their ratios into docs/measured.md.

    python -m benchmarks.run [NAME ...]        (`make bench` runs all)

Each runs in a process of its own, one after the other; its output goes to ``build/bench/NAME.txt``. Ratios are kept in
``benchmarks/recorded.json``: one that fell by more than a fifth since then is shown. Absolute times at full size, and
what takes hours, another machine or a workspace of one's own, stay commands by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import FILE

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "benchmarks" / "recorded.json"
PAGE = ROOT / "docs" / "measured.md"
OUTPUT = ROOT / "build" / "bench"
BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"
FELL = 0.8
"""Part of its recorded value below which a ratio has fallen."""

SMALL: dict[str, tuple[str, ...]] = {
    "preprocess_series": ("--slices", "100", "--rounds", "3", "--memory-at"),
    "compressed_syntaxes": ("--slices", "10", "--rounds", "3"),
    "read_sectors": ("--series", "20", "--bucket-series", "5", "--rounds", "3"),
    "index_sources": ("--files", "1000", "--objects", "100"),
    "clusters_equal_pylidc": ("--first", "30"),
    "candidates": ("--slices", "100", "--rounds", "1"),
    "fan_out": ("--series", "120", "--items", "2000"),
    "sector_sweep": ("--volumes", "10", "--epochs", "3", "--sizes", "64"),
    "orchestration": ("--series", "100", "--epochs", "5", "--sectors", "5"),
    "pacs": ("--slices", "60", "--repeats", "3"),
    "inbox": ("study", "--slices", "60", "--repeats", "2"),
    "arrival": ("--series", "3"),
    "one_series": ("--runs", "3"),
}
"""Benchmarks by name, with the options of a small size."""

MODULES = ("index_sources", "pacs", "inbox", "arrival")
"""Those that use servers, and run as modules."""

BY_HAND: dict[str, str] = {
    "backbones": "ten minutes, and what the processor has of bf16 decides",
    "blobs_on_real": "needs real series",
    "commands": "needs a workspace of the demo",
    "demo": "the whole demo, twice",
    "gpu": "needs a GPU",
    "idle": "an hour of an idle service",
    "inbox_queue": "part of inbox",
    "index_scale": "215,000 series; no rival",
    "large_store": "100,000 series",
    "lidc_estimate": "multiplies what others measure",
    "older_workspace": "compares two versions",
    "outlying_heights": "rates of warnings, no rival",
    "reports_index": "needs a workspace of the demo",
    "scaling": "needs many cores",
    "simulate": "a model, no measurement",
}
"""The other benchmarks, with why they are commands by hand."""


@dataclass(frozen=True)
class Figure:
    """A ratio of one run.

    Attributes
    ----------
    name : str
        What is compared with what.
    value : float
        The ratio.
    lower_is_better : bool
        Whether a larger one is worse.
    """

    name: str
    value: float
    lower_is_better: bool = False

    def fell(self, recorded: float | None) -> bool:
        """Return whether the ratio is worse than a recorded one by more than a fifth."""
        if recorded is None:
            return False
        now, before = (1 / self.value, 1 / recorded) if self.lower_is_better else (self.value, recorded)
        return now < FELL * before


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SMALL)}; all without one")
    names = parser.parse_args().names or list(SMALL)
    if unknown := sorted(set(names) - set(SMALL)):
        parser.error(f"benchmarks must be of {', '.join(SMALL)}; got {', '.join(unknown)}")
    recorded = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    fresh, failed = {}, []
    for name in names:
        started_s = time.monotonic()
        figures = run(name)
        failed += [] if figures else [name]
        fresh |= {name: found(name, figures)} if figures else {}
        print_figures(name, figures, recorded.get(name, {}).get("figures", {}), time.monotonic() - started_s)
    kept = {name: one for name, one in {**recorded, **fresh}.items() if name in SMALL}
    RECORDED.write_text(json.dumps({name: kept[name] for name in SMALL if name in kept}, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), table(kept)))
    if failed:
        raise SystemExit(f"without a figure: {', '.join(failed)}; {OUTPUT} has what they printed")


def command(name: str) -> list[str]:
    """Return what is run, as a user would type it after ``python``."""
    what = ["-m", f"benchmarks.{name}"] if name in MODULES else [f"benchmarks/{name}.py"]
    return [*what, *SMALL[name]]


def run(name: str) -> list[Figure]:
    """Run a benchmark and return its ratios; none if it failed."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (OUTPUT / f"{name}.txt").open("w") as output:
        file = Path(folder) / "figures"
        done = subprocess.run(
            [sys.executable, *command(name)],
            cwd=ROOT,
            env=os.environ | {FILE: str(file)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode or not file.exists():
            return []
        return [Figure(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def found(name: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """Return what is kept of a run: when, where, by which command, and its ratios."""
    return {
        "command": " ".join(["python", *command(name)]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "figures": {one.name: one.value for one in figures},
    }


def machine() -> str:
    """Describe this machine: cores, processor, Python; no name and no address."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores{f' of {model}' if model else ''}, Python {platform.python_version()}"


def print_figures(name: str, figures: Sequence[Figure], recorded: Mapping[str, float], seconds: float) -> None:
    """Print the ratios of a run beside those that were recorded."""
    print(f"{name}, {seconds:.0f} s{'' if figures else ': failed'}")
    for one in figures:
        before = recorded.get(one.name)
        beside = "" if before is None else f", before {before:.2f}"
        print(f"  {one.name}: {one.value:.2f}{beside}{'  FELL' if one.fell(before) else ''}", flush=True)


def table(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of the page: those of one machine and day together."""
    parts = []
    for day, where in dict.fromkeys((one["date"], one["machine"]) for one in kept.values()):
        rows = ["| Command | Compared | Ratio |", "|---|---|---|"]
        for one in kept.values():
            if (one["date"], one["machine"]) == (day, where):
                names = [f"`{one['command']}`", *[""] * (len(one["figures"]) - 1)]
                rows += [
                    f"| {name} | {what} | {value:.2f} |"
                    for name, (what, value) in zip(names, one["figures"].items(), strict=True)
                ]
        parts.append("\n".join([f"{day}, {where}:", "", *rows]))
    return "\n\n".join(parts)


def with_table(page: str, written: str) -> str:
    """Return the page with the tables between its marks.

    Raises
    ------
    ValueError
        If the page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name}: must have the lines '{BEGIN}' and '{END}', got none; add them")
    return f"{before}{begin}\n\n{written}\n\n{end}{after}"


if __name__ == "__main__":
    main()
