"""How preprocessing scales over worker processes, and whether the model of `simulation/` predicts it.

Series of real size (slices of 512 x 512, uncompressed) are preprocessed as `lidcflow preprocess` does it, with 1, 2 and
4 worker processes of a local cluster, and through a scheduler and workers that run as processes of their own. The
files of a few series are read again and again under other UIDs, so the page cache is warm: what is measured is the
work and the fan-out, not the disk. How much of a core a process of this niceness gets is measured around each run.

    python benchmarks/scaling.py [--series 48] [--slices 240] [--workers 1,2,4] [--rounds 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fan_out import timed, warm
from benchmarks.preprocess_series import make_series
from benchmarks.simulation.model import Costs, Job, Place, simulate
from flows.cli.session import flow_session
from lidcflow.catalog.series import Catalog
from lidcflow.config import ClusterConfig, Config, NodulesConfig
from lidcflow.dicom.records import Series
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.series.verdicts import Index
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_groups, open_cluster

FOLDERS = 3
"""Different series on the disk; the others are these again."""

PROBE_S = 0.5
SETTLE_S = 30.0
"""Time for Prefect's server to keep the events that were sent."""


@dataclass(frozen=True)
class Run:
    """One run of the stage.

    Parameters
    ----------
    stage_s : float
        Wall time.
    series_s, series_cpu_s : float
        Of one series in its worker: wall, CPU; means.
    flow_cpu_s, scheduler_cpu_s : float
        Of this process and the scheduler's, for each series.
    one, all : float
        Of a core, what one process gets here, and what as many as there are workers get together.
    """

    stage_s: float
    series_s: float
    series_cpu_s: float
    flow_cpu_s: float
    scheduler_cpu_s: float
    one: float
    all: float


def sources(folder: Path, slices: int, count: int) -> list[Series]:
    """Write a few series, and return many: each of them again under other UIDs."""
    (folder / "1").mkdir(parents=True)
    make_series(folder / "1", slices)
    (found,) = index_folder(folder / "1", secret=PUBLIC_KEY).usable
    copies = [found]
    for number in range(2, FOLDERS + 1):
        subprocess.run(["cp", "-r", folder / "1", folder / str(number)], check=True)
        moved = tuple(replace(one, path=str(folder / str(number) / Path(one.path).name)) for one in found.slices)
        copies.append(replace(found, slices=moved))
    named = (f"1.2.826.0.1.{number}" for number in range(1, count + 1))
    return [replace(copies[i % FOLDERS], series_instance_uid=uid) for i, uid in enumerate(named)]


def run(series: list[Series], address: str, workers: int, folder: Path, scheduler: psutil.Process | None) -> Run:
    """Run the stage once with a store of its own."""
    from prefect import flow

    import flows.missing as stages
    import flows.missing_series
    import tasks.preprocess
    import tasks.preprocessed

    times = folder / "times"
    times.mkdir(parents=True)
    config = Config(workspace=folder, patient_key="public", nodules=NodulesConfig(candidates=False))
    VolumeStore.of(config, create=True)
    tasks.preprocess.preprocess_series = partial(timed, times=str(times))
    list(map_groups(address, partial(warm, seconds=0.5), range(4 * workers)))
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(_index(series))
        brought, split = tasks.preprocessed.Preprocessed(), flows.missing_series.Split({}, [], {}, set())
        record = partial(flows.missing_series._record, catalog, config.preprocess.digest, brought, split)
        running = config.model_copy(update={"cluster": config.cluster.at(address)})
        work = partial(stages.preprocess_series_in_batches, series, brought, running, training_store(running), record)
        before = spun(1), spun(workers)
        started_s, cpu_s, theirs_s = time.monotonic(), time.process_time(), _cpu_s(scheduler)
        flow(lambda: work(), name="scaling")()
        stage_s = time.monotonic() - started_s
        cpu_s, theirs_s = time.process_time() - cpu_s, _cpu_s(scheduler) - theirs_s
        after = spun(1), spun(workers)
    if len(brought.committed) != len(series):
        raise SystemExit(f"scaling: {len(series)} series must be committed, got {len(brought.committed)}")
    taken = np.concatenate([np.loadtxt(file, ndmin=2) for file in times.iterdir()]).mean(axis=0)
    one, together = (float(np.mean(pair)) for pair in zip(before, after, strict=True))
    return Run(stage_s, *map(float, taken), cpu_s / len(series), theirs_s / len(series), one, together)


def _index(series: list[Series]) -> Index:
    from lidcflow.dicom.records import VerdictReason
    from lidcflow.series.verdicts import Verdict

    return Index(
        tuple(Verdict(one.series_instance_uid, VerdictReason.USABLE, "", len(one.slices), series=one) for one in series)
    )


def _cpu_s(process: psutil.Process | None) -> float:
    return sum(process.cpu_times()[:2]) if process else 0.0


def spun(processes: int) -> float:
    """Return how many cores so many processes that do nothing but count get together."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return sum(pool.map(_spin, range(processes), chunksize=1))


def _spin(_number: int) -> float:
    end_s, cpu_s = time.monotonic() + PROBE_S, time.process_time()
    while time.monotonic() < end_s:
        pass
    return (time.process_time() - cpu_s) / PROBE_S


@contextmanager
def local(workers: int) -> Iterator[tuple[str, psutil.Process | None]]:
    """Open a local cluster; its scheduler runs in this process."""
    with open_cluster(ClusterConfig(workers=workers), "preprocess") as cluster:
        yield cluster.address, None


@contextmanager
def elsewhere(workers: int, folder: Path) -> Iterator[tuple[str, psutil.Process | None]]:
    """Start a scheduler and workers as processes, as people do on a cluster."""
    folder.mkdir(parents=True)
    file, environment = folder / "scheduler.json", {**os.environ, "OMP_NUM_THREADS": "1"}
    dask = [sys.executable, "-m", "dask"]
    said = (folder / "log").open("w")
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file],
        stdout=said,
        stderr=said,
        env=environment,
    )
    options = ["--nthreads", "1", "--no-dashboard", "--local-directory", folder, "--scheduler-file", file]
    worker = [*dask, "worker", "--host", "127.0.0.1", *options]
    started = [
        scheduler,
        *(subprocess.Popen(worker, stdout=said, stderr=said, env=environment) for _ in range(workers)),
    ]
    try:
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(workers, timeout=60)
            address = client.scheduler.address
        yield address, psutil.Process(scheduler.pid)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()
        said.close()


def cost_of_items(count: int, folder: Path) -> tuple[float, float]:
    """Return CPU seconds of the flow's process and of the scheduler's for an item that does nothing."""
    with elsewhere(2, folder) as (address, scheduler):
        list(map_groups(address, abs, range(100)))
        mine_s, theirs_s = time.process_time(), _cpu_s(scheduler)
        for _ in map_groups(address, abs, range(count), within_s=900):
            pass
        return (time.process_time() - mine_s) / count, (_cpu_s(scheduler) - theirs_s) / count


def cost_of_events(count: int) -> float:
    """Return CPU seconds of Prefect's server for the event of a series; it keeps them beside the work."""
    from prefect import flow

    from tasks.publish import emit_series_event

    def server_cpu_s() -> float:
        servers = [one for one in psutil.Process().children(recursive=True) if "uvicorn" in " ".join(one.cmdline())]
        return sum(map(_cpu_s, servers))

    @flow(name="events")
    def emit(events: int) -> float:
        before_s = server_cpu_s()
        for number in range(events):
            emit_series_event("committed", f"1.2.{number}", volume_digest="0" * 64)
        time.sleep(SETTLE_S)
        return server_cpu_s() - before_s

    idle_s, busy_s = emit(0), emit(count)
    return (busy_s - idle_s) / count


def middle(runs: list[Run]) -> Run:
    """Return the medians of runs."""
    return Run(*(statistics.median(getattr(one, name) for one in runs) for name in Run.__dataclass_fields__))


def predicted_s(found: Run, alone: Run, count: int, workers: int) -> float:
    """Predict a run with the model from what a series costs with one worker, and what the machine gave meanwhile."""
    wait_s = max(0.0, alone.series_s - alone.series_cpu_s / alone.one)
    costs = Costs(
        commit_cpu_s=0.0,
        commit_wait_s=wait_s,
        written_mb=0.0,
        scheduler_s=found.scheduler_cpu_s,
        flow_s=found.flow_cpu_s,
        batch_s=0.0,
    )
    cores = min(max(found.all, found.one), float(os.cpu_count() or 1))
    place = Place(workers, cores, 1e9, 1e9, one_machine=True, core=found.one)
    return simulate([Job(1, 0.0, alone.series_cpu_s)] * count, place, costs).wall_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=48)
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=5000, help="items that do nothing: what fan-out costs by itself")
    parser.add_argument("--quiet", type=float, default=0.0, help="wait until 2 processes get so many cores together")
    chosen = parser.parse_args()
    counts = [int(text) for text in chosen.workers.split(",")]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        series = sources(folder / "source", chosen.slices, chosen.series)
        with flow_session(Config(workspace=folder / "session", patient_key="public")):
            event_s = cost_of_events(chosen.items)
            found = measured(series, counts, chosen.rounds, folder, chosen.quiet)
        flow_s, scheduler_s = cost_of_items(chosen.items, folder / "items")
    report(found, len(series), chosen.slices)
    print(
        f"an item that does nothing: {1000 * flow_s:.2f} ms of CPU of the flow's process, "
        f"{1000 * scheduler_s:.2f} ms of the scheduler's; an event: {1000 * event_s:.2f} ms of Prefect's server"
    )


def wait_for_quiet(cores: float, *, most_s: float = 600) -> None:
    """Wait until the machine has so many cores to give, but not for ever."""
    end_s = time.monotonic() + most_s
    while spun(2) < cores and time.monotonic() < end_s:
        time.sleep(5)


def measured(
    series: list[Series], counts: list[int], rounds: int, folder: Path, quiet: float
) -> dict[tuple[str, int], Run]:
    """Run every way in turn, several times, and return the medians."""
    runs: dict[tuple[str, int], list[Run]] = {}
    for number in range(rounds):
        for workers in counts:
            for way in ("local", "scheduler"):
                at = folder / f"{way}-{workers}-{number}"
                wait_for_quiet(quiet)
                opened = local(workers) if way == "local" else elsewhere(workers, folder / f"dask-{at.name}")
                with opened as (address, scheduler):
                    runs.setdefault((way, workers), []).append(run(series, address, workers, at, scheduler))
                subprocess.run(["rm", "-rf", at], check=True)
    return {way: middle(those) for way, those in runs.items()}


def report(found: dict[tuple[str, int], Run], count: int, slices: int) -> None:
    """Print what was measured beside what the model says."""
    print(f"{count} series of {slices} slices, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians")
    print("cluster    workers  stage  series/s  speedup  efficiency  a series: wall, CPU   flow    model  error")
    first = min(workers for _, workers in found)
    for (way, workers), one in sorted(found.items()):
        alone = found[way, first]
        model_s = predicted_s(one, alone, count, workers)
        speedup = alone.stage_s / one.stage_s
        usable = min(one.all, float(os.cpu_count() or 1)) / alone.one
        print(
            f"{way:10} {workers:7} {one.stage_s:5.1f} s {count / one.stage_s:8.2f} {speedup:8.2f} "
            f"{speedup / usable:10.0%}  {one.series_s:9.3f} s {one.series_cpu_s:6.3f} s "
            f"{1000 * one.flow_cpu_s:5.1f} ms {model_s:5.1f} s {model_s / one.stage_s - 1:+5.0%}"
        )
        print(f"{'':10} {'':7} cores for one process {one.one:.2f}, for all workers {one.all:.2f}")


if __name__ == "__main__":
    main()
