"""One series by `lidcflow infer`, computed by one thread and by two: wall and CPU time of the whole command.

    python benchmarks/one_series.py [FOLDER] [--runs 5] [--slices 133]

Without a folder, a phantom is made. The release that ships with lidcflow reads it, each time in a new workspace, by
turns with one thread and with two; the answers must be the same byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from figures import record_ratio

LIDCFLOW = str(Path(sys.executable).with_name("lidcflow"))
THREADS = (1, 2)


def main() -> None:
    """Measure by turns, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="of one series; a phantom without it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slices", type=int, default=133, help="of the phantom at most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = options.folder.absolute() if options.folder else made(Path(work) / "phantom", options.slices)
        runs = [
            {threads: answered(folder, Path(work) / f"{number}-{threads}", threads) for threads in THREADS}
            for number in range(options.runs)
        ]
    if len({digest for run in runs for _, _, digest in run.values()}) != 1:
        raise SystemExit("answers must be the same by one thread and by two, got several")
    fastest_s = {threads: min(run[threads][0] for run in runs) for threads in THREADS}  # other work only adds time
    for threads in THREADS:
        walls_s, cpus_s = ([run[threads][part] for run in runs] for part in (0, 1))
        print(
            f"{threads} thread{'s' if threads > 1 else ''}: {statistics.median(walls_s):.1f} s ({min(walls_s):.1f} to "
            f"{max(walls_s):.1f}), {statistics.median(cpus_s):.1f} s of CPU"
        )
    record_ratio("one thread: its fastest answer for a series by that of two threads", fastest_s[1] / fastest_s[2])


def made(folder: Path, slices: int) -> Path:
    """Make a phantom of one series."""
    size = ("--series", "1", "--max-slices", str(slices), "--seed", "77")
    subprocess.run([LIDCFLOW, "phantom", *size, str(folder)], stdout=subprocess.DEVNULL, check=True)
    return folder


def answered(folder: Path, work: Path, threads: int) -> tuple[float, float, str]:
    """Run the command; return its seconds, its CPU seconds, and the digest of the report."""
    work.mkdir()
    config = work / "lidcflow.toml"
    config.write_text(
        f'workspace = "{work}/workspace"\n[infer]\nrelease = "embedded"\n[cluster]\nworkers = {threads}\n'
    )
    before, started_s = getrusage(RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [LIDCFLOW, "infer", str(folder), "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=work,  # a folder without Prefect's settings, with which a flow would run
        check=True,
    )
    wall_s, after = time.monotonic() - started_s, getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    pages = sorted((work / "workspace" / "reports").rglob("*.html"))
    digest = hashlib.sha256(b"".join(page.read_bytes() for page in pages)).hexdigest()
    return wall_s, cpu_s, digest


if __name__ == "__main__":
    main()
