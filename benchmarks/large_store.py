"""What a store of 100,000 series costs: catalog, queries, a snapshot, a sector, an erasure; time and memory of each.

Every step runs in a process of its own, which tells its wall time and by how much its memory grew at its peak. The
store is made up, see `large/made.py`. With --bucket it lies on an S3-like server in another process (moto).

    python benchmarks/large_store.py --folder DIR [--series 100000] [--steps catalog,plan,...] [--bucket]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.large.made import config_of, hashed, make, patient_of, uid_of, verdicts
from lidcflow.config import Access, Config, ObjectsConfig

SECTOR = slice(26, 39)
SECTOR_SERIES = 1000
PORTION = 16
"""Series that the flow records together: those of half a second on a few workers."""


def catalog(config: Config, count: int) -> str:
    """Write the verdicts of a whole index into the catalog."""
    from lidcflow.catalog.series import Catalog

    with Catalog(config.catalog) as opened:
        opened.record_verdicts(verdicts(count))
    return f"{count} verdicts"


def committed(config: Config, count: int) -> str:
    """Mark every series as committed, in portions as the flow does."""
    from lidcflow.catalog.series import Catalog

    with Catalog(config.catalog) as opened:
        for start in range(0, count, PORTION):
            numbers = range(start, min(start + PORTION, count))
            opened.record_committed({uid_of(n): hashed("digest", n) for n in numbers}, config.preprocess.digest)
    return f"{count} series in {-(-count // PORTION)} transactions"


def query(config: Config, _count: int) -> str:
    """Count the states, and page through the rows of committed series."""
    from lidcflow.catalog.series import Catalog, State

    with Catalog(config.catalog) as opened:
        states = opened.counts()
        rows = sum(1 for _ in opened.rows(State.COMMITTED))
    return f"{states[State.COMMITTED]} counted, {rows} rows"


def listing(config: Config, _count: int) -> str:
    """List the committed series of the store itself."""
    from lidcflow.store.volumes import VolumeStore

    return f"{len(VolumeStore.of(config).series_uids())} series"


def status(config: Config, _count: int) -> str:
    """Run what `lidcflow status` runs."""
    from flows.service.status import status_of

    found = status_of(config)
    return f"{found.store.series if found.store else 0} series, {found.problems}"


def resume(config: Config, count: int) -> str:
    """Find out which of the usable series are stored already, as every preprocessing begins."""
    from flows.missing_series import split_current
    from lidcflow.store.address import training_store

    usable = [verdict.series for verdict in verdicts(count) if verdict.series]
    current, waiting = split_current(usable, training_store(config))
    return f"{len(current)} current, {len(waiting)} waiting"


def lacking(config: Config, count: int) -> str:
    """Find out which series lack features, as every training begins."""
    from lidcflow.learn.backbones import describe_backbone
    from lidcflow.store.volumes import VolumeStore
    from tasks.features import _lacking

    uids = [uid_of(number) for number in range(count)]
    feature_id = describe_backbone(config.train, config.preprocess.size).id
    found = _lacking(VolumeStore.of(config), uids, feature_id, has_maps=config.train.mode == "finetune")
    return f"{len(found)} of {count} lack features"


def plan(config: Config, _count: int) -> str:
    """Label what is stored and fix the training set."""
    from tasks.snapshot import plan_training

    made = plan_training.fn(config)
    return f"snapshot {made.snapshot_id[:12]}, {made.slices.total} slices, {made.patients} patients"


def again(config: Config, _count: int) -> str:
    """Read the training set back and check it, as every sector's task does."""
    from lidcflow.learn.training_set import TrainingSet

    file = next((config.workspace / "snapshots").glob("*.parquet"))
    loaded = TrainingSet.load(file)
    return f"snapshot {loaded.id}, {len(loaded.snapshot.table)} rows"


def sector(config: Config, count: int) -> str:
    """Read 13 of 65 slices, and their features, of a batch of series."""
    from lidcflow.learn.backbones import describe_backbone
    from lidcflow.store.volumes import VolumeStore
    from tasks.features import feature_reader

    store = VolumeStore.of(config)
    read = feature_reader(store, describe_backbone(config.train, config.preprocess.size).id)
    batch = [uid_of(number) for number in range(0, count, max(1, count // SECTOR_SERIES))][:SECTOR_SERIES]
    voxels = sum(store.read_hu(uid, SECTOR).size for uid in batch)
    features = sum(read(uid, range(SECTOR.start, SECTOR.stop)).size for uid in batch)
    return f"{len(batch)} series, {voxels} voxels, {features} features"


def repair(config: Config, _count: int) -> str:
    """Look at every volume, and write the catalog anew."""
    from flows.repair import repair as mend

    report = mend(config)
    return f"{report.stores[-1].series} in order, catalog changed in {report.catalog_changed}"


def erase(config: Config, count: int) -> str:
    """Delete a patient."""
    from flows.erase import erase as delete
    from lidcflow.erase.subject import Subject

    report = delete(Subject("patient", patient_of(count - 1)), config)
    return report.deleted.model_dump_json(exclude_defaults=True)


STEPS: dict[str, Callable[[Config, int], str]] = {
    step.__name__: step
    for step in (catalog, committed, query, listing, status, resume, lacking, plan, again, sector, repair, erase)
}


def run_here(name: str, config: Config, count: int) -> dict[str, Any]:
    """Run a step; its first run on ten series loads what a process loads once, where that changes nothing."""
    before = peak_mib()
    started_s, cpu_s = time.monotonic(), time.process_time()
    said = STEPS[name](config, count)
    return {
        "step": name,
        "wall_s": time.monotonic() - started_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mib": peak_mib(),
        "grew_mib": peak_mib() - before,
        "said": said,
    }


def peak_mib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def bucket() -> Iterator[Access]:
    """Run an S3-like server in a process of its own."""
    code = (
        "import sys, tests.object_storage as storage\n"
        "with storage.object_storage() as server: print(server.endpoint, flush=True); sys.stdin.read()"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        endpoint = server.stdout.readline().strip()
        yield Access(s3=ObjectsConfig(endpoint=endpoint, region="us-east-1", anonymous=True))
    finally:
        server.communicate()


def run_steps(steps: list[str], config: Config, count: int) -> None:
    """Run each step in a process of its own, and print what it took."""
    print(f"{'step':10} {'wall':>9} {'CPU':>9} {'peak':>10}   said")
    for name in steps:
        command = [
            sys.executable,
            __file__,
            "--here",
            name,
            "--series",
            str(count),
            "--config",
            config.model_dump_json(),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"{name:10} failed with exit code {done.returncode}")
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{name:10} {row['wall_s']:7.1f} s {row['cpu_s']:7.1f} s {row['peak_mib']:6.0f} MiB   {row['said']}",
            flush=True,
        )


def main() -> None:
    """Make the store unless it is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--bucket", action="store_true")
    parser.add_argument("--here", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(run_here(chosen.here, Config.model_validate_json(chosen.config), chosen.series)))
        return
    steps = chosen.steps.split(",")
    print(f"{chosen.series} series, load {os.getloadavg()[0]:.1f}")
    if chosen.bucket:
        with bucket() as access:
            config = config_of(chosen.folder, "s3://bucket/store", access)
            made(config, chosen.series, arrays_of=SECTOR_SERIES)
            run_steps(steps, config, chosen.series)
        return
    config = config_of(chosen.folder)
    if not (chosen.folder / "store").exists():
        made(config, chosen.series)
    run_steps(steps, config, chosen.series)


def made(config: Config, count: int, *, arrays_of: int | None = None) -> None:
    """Make the store and tell how long that took."""
    started_s = time.monotonic()
    make(config, count, arrays_of=arrays_of)
    print(f"made in {time.monotonic() - started_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
