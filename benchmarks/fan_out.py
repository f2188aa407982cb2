"""What fan-out costs: 1,018 small series against their own work, and 100,000 items that do nothing.

python benchmarks/fan_out.py [--series 1018] [--items 100000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from figures import record_ratio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from flows.cli.session import flow_session
from lidcflow.config import ClusterConfig, Config, NodulesConfig, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_groups, open_cluster
from tasks.worker import preprocess_series

SLICES, SIZE = 16, 64
POINTS = 20
"""Rows of the memory curve."""

WINDOW = 16
"""Items that do nothing in flight per worker; series have the configured window."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1018)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the series are written; by default a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        measure_series(chosen.series, Path(folder))
    measure_items(chosen.items)


def measure_series(count: int, folder: Path) -> None:
    """Compare the wall time of the stage with what its series take in the workers, over the processes."""
    for number in range(1, count + 1):
        write_series(folder / "source" / str(number), f"1.2.{number}")
    config = Config(
        workspace=folder / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(slices=64, size=64),
        nodules=NodulesConfig(candidates=False),
        cluster=ClusterConfig(workers=os.cpu_count()),
    )
    with flow_session(config):
        stage_s, own_s, own_cpu_s = run_stage(config, folder)
    even_s = own_s / config.cluster.workers
    record_ratio("share of the stage's time that is the series' own work", even_s / stage_s)
    print(
        f"{count} series, {config.cluster.workers} processes, batches of {config.cluster.batch_size}: stage "
        f"{stage_s:.1f} s; the series' own work {own_s:.1f} s, CPU {own_cpu_s:.1f} s, evenly over the processes "
        f"{even_s:.1f} s; lost {1 - even_s / stage_s:.1%}, {1000 * (stage_s - even_s) / count:.2f} ms a series"
    )


def run_stage(config: Config, folder: Path) -> tuple[float, float, float]:
    """Run the stage as `lidcflow preprocess` does, cluster started before: its time and that of the series, in s."""
    from prefect import flow

    import flows.missing as stages
    import tasks.preprocess

    VolumeStore.of(config, create=True)
    (folder / "times").mkdir()
    tasks.preprocess.preprocess_series = partial(timed, times=str(folder / "times"))
    index = index_folder(folder / "source", secret=PUBLIC_KEY)
    with open_cluster(config.cluster, "preprocess") as cluster:
        list(map_groups(cluster.address, partial(warm, seconds=0.5), range(4 * cluster.workers)))
        running = config.model_copy(update={"cluster": config.cluster.at(cluster.address)})
        started_s = time.monotonic()
        brought = flow(lambda: stages.preprocess_missing(index, running, training_store(running)), name="fan-out")()
        stage_s = time.monotonic() - started_s
    if len(brought.committed) != len(index.usable):
        raise SystemExit(f"fan_out: {len(index.usable)} series must be committed, got {len(brought.committed)}")
    times = np.concatenate([np.loadtxt(file, ndmin=2) for file in (folder / "times").iterdir()])
    return stage_s, *times.sum(axis=0)


def warm(_number: int, seconds: float) -> None:
    """Load what a worker needs, which takes seconds once and is not what is measured."""
    import lidcflow.store.volumes  # noqa: F401

    time.sleep(seconds)


def timed(series: Series, *, times: str, **options: Any) -> str:
    """Preprocess a series and note how long it took here: wall and CPU."""
    before = time.perf_counter(), time.process_time()
    digest = preprocess_series(series, **options)
    with open(f"{times}/{os.getpid()}", "a") as file:
        file.write(f"{time.perf_counter() - before[0]} {time.process_time() - before[1]}\n")
    return digest


def measure_items(count: int) -> None:
    """Print how memory of this process, which is client and scheduler, goes with the items."""
    with open_cluster(ClusterConfig(workers=os.cpu_count()), "preprocess") as cluster:
        done, started_s, every = 0, time.monotonic(), max(1, count // POINTS)
        for group in map_groups(cluster.address, abs, range(count), window=WINDOW, within_s=900):
            if done // every != (done + len(group)) // every:
                used_mib = psutil.Process().memory_info().rss / 2**20
                bar = "#" * int(used_mib // 8)
                print(f"{done + len(group):7d} items {time.monotonic() - started_s:7.1f} s {used_mib:6.1f} MiB {bar}")
            done += len(group)
        elapsed_s = time.monotonic() - started_s
    print(f"{done} items that do nothing: {elapsed_s:.1f} s, {1000 * elapsed_s / done:.2f} ms each")


def write_series(folder: Path, uid: str) -> None:
    """Write a small CT series: noise over lung inside of soft tissue, so that no warning keeps it from learning."""
    folder.mkdir(parents=True)
    stored = np.full((SIZE, SIZE), 1024 + 40)
    stored[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] = 1024 - 850
    noise = stored + np.random.default_rng(list(uid.encode())).integers(-60, 60, (SLICES, SIZE, SIZE))
    for index in range(SLICES):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{uid}.{index + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = f"{uid}.0.1", uid, f"{uid}.0.2"
        image.PatientID, image.Modality, image.InstanceNumber = uid, "CT", index + 1
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, -2.5 * index]
        image.PixelSpacing, image.Rows, image.Columns = [5, 5], SIZE, SIZE
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
        image.PixelData = noise[index].astype("<i2").tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(folder / f"{index}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main()
