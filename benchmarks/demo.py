"""Measure the whole demo on this machine: wall time of each stage, peak memory, and quality on held-out phantoms.

    .venv/bin/python benchmarks/demo.py [--series 32] [--seed 0] [--keep DIR]

Quality is at natural prevalence on the test patients of the split; intervals are 95%, by bootstrap over patients.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

FIGURES = ("auroc_nodule", "auroc_malignant", "brier", "sensitivity_at_5", "sensitivity_at_10")


def main() -> None:
    """Run the demo twice in one folder, the second time with everything there, and print what was measured."""
    options = parse()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "demo"
        first, peak_bytes = run_demo(folder, options)
        second, _ = run_demo(folder, options)
    print_times(first, second)
    print(f"\npeak memory, all processes: {peak_bytes / 2**30:.1f} GiB (sum of proportional shares)")
    print_quality(first["train"]["release"])


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder to run in and to leave")
    return parser.parse_args()


def run_demo(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Run the command as a user would; return its report and the peak memory of its processes, in bytes."""
    command = [str(Path(sys.executable).parent / "lidcflow"), "demo", "--json", "--folder", str(folder)]
    command += ["--series", str(options.series), "--seed", str(options.seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = Peak(process.pid)
    peak.start()
    printed, _ = process.communicate()
    peak.join()
    if process.returncode:
        raise SystemExit(f"the demo must end with exit code 0, got {process.returncode}")
    return json.loads(printed), peak.bytes


class Peak(threading.Thread):
    """Samples the memory of a process and its descendants twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self.bytes = 0

    def run(self) -> None:
        """Sample until the process ends."""
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            self.bytes = max(self.bytes, sum(map(memory_bytes, self._family())))
            time.sleep(0.5)

    def _family(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def memory_bytes(process: psutil.Process) -> int:
    """Return the memory of a process; pages that processes share count once between them where the system tells."""
    try:
        full = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(full, "pss", full.rss))


def print_times(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Print the wall time of each stage of both runs, in seconds."""
    print(f"{'stage':<24}{'first run':>12}{'second run':>12}")
    for stage, seconds in first["stage_seconds"].items():
        print(f"{stage:<24}{seconds:>10.1f} s{second['stage_seconds'].get(stage, 0.0):>10.1f} s")
    staged = [sum(run["stage_seconds"].values()) for run in (first, second)]
    print(
        f"{'start-up and the rest':<24}{first['seconds'] - staged[0]:>10.1f} s{second['seconds'] - staged[1]:>10.1f} s"
    )
    print(f"{'whole':<24}{first['seconds']:>10.1f} s{second['seconds']:>10.1f} s")


def print_quality(release: dict[str, Any]) -> None:
    """Print the figures of the release and of the baselines on the test patients."""
    test = release["metrics"]["test"]
    print(f"\nquality: {test['patients']} test patients, {test['series']} series, {test['nodules']} nodules")
    print(f"{'figure':<20}{'release':>26}{'sector prior':>26}{'uniform every k':>26}")
    for figure in FIGURES:
        columns = (estimate(test[which].get(figure)) for which in ("release", "sector_prior", "uniform"))
        print(f"{figure:<20}" + "".join(f"{column:>26}" for column in columns))


def estimate(figure: dict[str, float | None] | None) -> str:
    """Write a figure with its interval."""
    if not figure or figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"


if __name__ == "__main__":
    main()
