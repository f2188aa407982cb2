"""CPU time of commands that only look: `--help`, `--version`, `status`, `releases` and `doctor`.

    python benchmarks/commands.py --workspace demo/workspace

Prints the median CPU seconds (user and system) of several runs, children included, and those of Keras' own start to
compare: `doctor --full` waits for one in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

LIDCFLOW = str(Path(sys.executable).with_name("lidcflow"))
LOOKS = (["--help"], ["--version"], ["train", "--help"], ["status", "--help"])
OF_WORKSPACE = ("status", "releases", "doctor")
KERAS = [sys.executable, "-P", "-c", "from lidcflow.learn.runtime import keras; keras.distribution.list_devices()"]


def main() -> None:
    """Measure each command, and print a line for it."""
    parser = argparse.ArgumentParser(description="CPU time of commands that only look.")
    parser.add_argument("--workspace", type=Path, required=True, help="As `lidcflow demo` leaves it.")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    commands = [[LIDCFLOW, *words] for words in LOOKS]
    commands += [[LIDCFLOW, name, "--workspace", str(asked.workspace)] for name in OF_WORKSPACE]
    for command in [*commands, KERAS]:
        name = "start of Keras" if command is KERAS else " ".join(["lidcflow", *command[1:3]])
        print(f"{name.removesuffix(' --workspace'):25} {median_cpu_s(command, asked.runs):6.2f} s")


def median_cpu_s(command: Sequence[str], runs: int) -> float:
    """Run a command several times, and return the median of its CPU seconds."""
    return statistics.median(cpu_s(command) for _ in range(runs))


def cpu_s(command: Sequence[str]) -> float:
    """Run a command once, and return its CPU seconds and those of its children."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ, check=False)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
