"""LIDC-IDRI, and every chest CT of the public archive, on 16, 64 and 256 workers: a model with measured costs.

Sizes, slices and transfer syntaxes are those of the archive's index (`idc-index-data`); costs are those measured by the
other scripts here, and can be given. Nothing is downloaded.

    python benchmarks/simulate.py [--link 125] [--storage 1250] [--latency 0.03] [--flow 2.0] [--scheduler 0.5]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.simulation.archive import Series, chest, lidc
from benchmarks.simulation.model import Costs, Job, Outcome, Place, simulate

WORKERS = (16, 64, 256)
MANY = 10_000
"""Series from which --every counts."""

STORED_MB = 1.6
"""A volume of 2 x 65 x 128 x 128 in two sizes, compressed."""

COMMIT_CPU_S, COMMIT_REQUESTS = 0.0384, 4
"""Requests one after the other: parts, what completes them, marker, and the look before."""

HEADER_CPU_S, HEADER_CONNECTIONS = 0.161e-3, 32
"""Of a file in the header pass; and `access.idc.connections`."""

Way = tuple[str, float, float]
"""What storage is called, and its MB/s for all workers and for one."""


def index_s(series: Series, latency_s: float, connections: int, cores: int) -> float:
    """Return how long the flow's machine reads headers: it waits for requests, or has no cores left."""
    return series.files * max(latency_s / connections, HEADER_CPU_S / cores)


def show(title: str, jobs: Sequence[Job], ways: Sequence[Way], costs: Costs, latency_s: float, times: float) -> None:
    """Print a row for each number of workers and storage."""
    print(f"\n{title}")
    print(f"{'storage':28} workers {'wall':>10}   cores  storage  scheduler  flow  Prefect   limit")
    for name, storage, link in ways:
        for workers in WORKERS:
            found = simulate(jobs, Place(workers, workers, link, storage, latency_s), costs)
            print(f"{name:28} {workers:7} {told(times * found.wall_s):>10} {shares(found)}   {found.limit}", flush=True)


def shares(found: Outcome) -> str:
    """Write the shares of time in which parts were busy."""
    return f"{found.cores:6.0%} {found.storage:8.0%} {found.scheduler:10.0%} {found.flow:5.0%} {found.prefect:8.0%}"


def told(seconds: float) -> str:
    """Write a time as people read it.

    Examples
    --------
    >>> told(90), told(7200), told(4.2)
    ('1.5 min', '2.0 h', '4.2 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.03, help="of a request to storage, in s")
    parser.add_argument("--flow", type=float, default=2.3, help="of the flow's process for a series, in ms")
    parser.add_argument("--scheduler", type=float, default=0.5, help="of the scheduler's process for a series, in ms")
    parser.add_argument("--prefect", type=float, default=1.7, help="of Prefect's server for an event, in ms")
    parser.add_argument("--slice", type=float, default=0.336, help="CPU of a plain slice of 512 x 512, in ms")
    parser.add_argument(
        "--every", type=int, default=1, help="simulate each n-th series, and n times its time; ends weigh too much"
    )
    parser.add_argument("--link", type=float, default=125, help="bandwidth of one worker, in MB/s")
    parser.add_argument("--storage", type=float, nargs="*", default=[125, 1250, 12_500], help="of all, in MB/s")
    chosen = parser.parse_args()
    costs = Costs(
        commit_cpu_s=COMMIT_CPU_S,
        commit_wait_s=COMMIT_REQUESTS * chosen.latency,
        written_mb=STORED_MB,
        scheduler_s=chosen.scheduler / 1000,
        flow_s=chosen.flow / 1000,
        prefect_s=chosen.prefect / 1000,
    )
    ways = [(f"{total:g} MB/s, {chosen.link:g} a worker", total, chosen.link) for total in chosen.storage]
    for series in (lidc(), chest()):
        jobs = series.jobs(chosen.slice / 1000)[:: chosen.every if len(series.table) > MANY else 1]
        cpu_h = sum(job.cpu_s + COMMIT_CPU_S for job in jobs) / 3600
        counted = f"{len(series.table)} series, {len(jobs)} of them simulated"
        title = f"{series.name}: {counted}, {series.files} files, {series.megabytes / 1e6:.2f} TB"
        times = len(series.table) / len(jobs)
        show(f"{title}, {times * cpu_h:.2f} h of CPU", jobs, ways, costs, chosen.latency, times)
        for connections, cores in ((HEADER_CONNECTIONS, 16), (512, 16), (512, 1)):
            seconds = index_s(series, chosen.latency, connections, cores)
            print(f"  headers before, {connections} requests at a time, {cores} cores: {told(seconds)}")
        ceiling(jobs, costs, chosen.latency)


def ceiling(jobs: Sequence[Job], costs: Costs, latency_s: float) -> None:
    """Print from how many workers on the flow's process is the limit where storage is none."""
    free = replace(costs, written_mb=0.0)
    for workers in (256, 512, 1024, 2048):
        found = simulate(jobs[:20_000], Place(workers, workers, 1e9, 1e9, latency_s), free)
        rate = min(len(jobs), 20_000) / found.wall_s
        busy = f"flow {found.flow:.0%}, Prefect {found.prefect:.0%}"
        print(f"  storage without limit, {workers} workers: {rate:.0f} series/s, {busy}, limit: {found.limit}")


if __name__ == "__main__":
    main()
