"""How long all of LIDC-IDRI takes from a cold disk: measured parts, and the arithmetic that puts them together.

Measured here on made-up series: the header pass, the voxel pass and the commit of a series with a warm cache (CPU), and
reading the same files with the page cache dropped (disk). LIDC-IDRI is 1,018 series, 243,958 files, 124 GB.

    python benchmarks/lidc_estimate.py [--slices 240] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preprocess_series import make_series

from lidcflow.config import PreprocessConfig
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series

SERIES, FILES, GIGABYTES = 1018, 243_958, 124.0
DISKS_MB_S = {"a hard disk or 1 Gbit/s": 120, "10 Gbit/s or SATA SSD": 500, "NVMe": 2500}
OTHER_CORES = 16


def cpu_s(run: Callable[[], Any]) -> float:
    """Return the CPU time of a call: other work on the machine does not count."""
    start_s = time.process_time()
    run()
    return time.process_time() - start_s


def parts(folder: Path, store: VolumeStore) -> tuple[float, float, float]:
    """Measure one series: header pass, voxel pass and commit, in seconds of CPU."""
    config = PreprocessConfig()
    headers_s = cpu_s(lambda: index_folder(folder, secret=PUBLIC_KEY))
    (series,) = index_folder(folder, secret=PUBLIC_KEY).usable
    volumes: list[Any] = []
    voxels_s = cpu_s(lambda: volumes.append(reduce_series(series, config)))
    store.delete(series.series_instance_uid)
    return headers_s, voxels_s, cpu_s(lambda: store.write(series, volumes[0]))


def cold_mb_s(folder: Path) -> float:
    """Read all files once with the page cache dropped for them."""
    paths = sorted(folder.iterdir())
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    start_s = time.perf_counter()
    n_bytes = sum(len(path.read_bytes()) for path in paths)
    return n_bytes / 1e6 / (time.perf_counter() - start_s)


def report(headers_ms: float, voxels_ms: float, commit_ms: float, disk_mb_s: float, slices: int) -> None:
    """Print the parts and what follows from them."""
    headers_s, voxels_s, commit_s = (
        FILES * headers_ms / slices / 1000,
        FILES * voxels_ms / slices / 1000,
        SERIES * commit_ms / 1000,
    )
    work_s = headers_s + voxels_s + commit_s
    print(f"header pass  {FILES:,} files  x {headers_ms / slices:.3f} ms = {headers_s:7.0f} s of CPU")
    print(f"voxel pass   {FILES:,} slices x {voxels_ms / slices:.3f} ms = {voxels_s:7.0f} s of CPU")
    print(f"commit       {SERIES:,} series   x {commit_ms:.1f} ms  = {commit_s:7.0f} s of CPU")
    print(f"together                                  {work_s:7.0f} s of CPU")
    print(
        f"\nThe disk is read once, beside the work: the longer of both counts.\n{'':44}{'disk':>9}{'work':>9}{'all':>9}"
    )
    places = {f"this disk, {disk_mb_s:.0f} MB/s": disk_mb_s, **{k: float(v) for k, v in DISKS_MB_S.items()}}
    for cores in (os.cpu_count() or 1, OTHER_CORES):
        for name, mb_s in places.items():
            disk_s, cores_s = GIGABYTES * 1000 / mb_s, work_s / cores
            minutes = "".join(f"{seconds / 60:7.1f} m" for seconds in (disk_s, cores_s, max(disk_s, cores_s)))
            print(f"{cores:3} cores, {name:33}{minutes}")


def main() -> None:
    """Make series, measure the parts, print the estimate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as place:
        folder = Path(place) / "series"
        folder.mkdir()
        make_series(folder, options.slices)
        store = VolumeStore(Path(place) / "store", PreprocessConfig())
        rounds = [(*parts(folder, store), cold_mb_s(folder)) for _ in range(options.rounds)]
    headers_s, voxels_s, commit_s, disk_mb_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{options.slices} slices of 512 x 512, {options.rounds} rounds, medians; load {os.getloadavg()[0]:.1f}\n")
    report(1000 * headers_s, 1000 * voxels_s, 1000 * commit_s, disk_mb_s, options.slices)


if __name__ == "__main__":
    main()
