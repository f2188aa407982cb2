"""CPU time and memory of nodule candidates: preprocessing with and without them, and blob detectors on the same grid.

    python benchmarks/candidates.py [--slices 240] [--rounds 3]

A made chest of 512 x 512 pixels is written as DICOM; every variant runs in a process of its own on one core, in turn,
and medians count. scikit-image and SimpleITK take part where they are installed; both get the grid ready made, and
only find blobs: no lungs, no measurements, no patches.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from figures import record_ratio
from preprocess_series import ONE_CORE, make_series
from pydicom import dcmread

SIGMAS_MM = (1.6, 2.2, 3.1, 4.4, 6.2, 8.7, 12.3)


def make_chest(folder: Path, slices: int) -> None:
    """Write a series whose pixels are two lungs with vessels and nodules in a body."""
    make_series(folder, slices)
    rng = np.random.default_rng(0)
    files = sorted(folder.iterdir())
    columns, rows = np.meshgrid(np.arange(512), np.arange(512))
    places = np.column_stack([rng.uniform(0, len(files), 400), rng.uniform(140, 380, 400), rng.uniform(90, 430, 400)])
    for index, file in enumerate(files):
        dataset = dcmread(file)
        hu = chest_plane(rows, columns, rng)
        for z, row, column in places[np.abs(places[:, 0] - index) < 6]:
            radius = 6 - abs(z - index)
            hu[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = 30
        dataset.PixelData = (hu + 1024).astype("<i2").tobytes()
        dataset.save_as(file)


def chest_plane(rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return HU of one slice: air, a body, two lungs, noise."""
    hu = np.full(rows.shape, -1000)
    hu[((rows - 256) / 200) ** 2 + ((columns - 256) / 240) ** 2 < 1] = 40
    for middle in (145, 367):
        hu[((rows - 256) / 140) ** 2 + ((columns - middle) / 85) ** 2 < 1] = -850
    return hu + rng.normal(0, 25, rows.shape).astype(int)


def preprocessing(folder: Path, *, candidates: bool) -> Callable[[], Any]:
    """Preprocess the indexed series into an empty store, as a worker does."""
    from lidcflow.config import Access, PreprocessConfig
    from lidcflow.privacy import PUBLIC_KEY
    from lidcflow.series.find import index_folder
    from lidcflow.store.volumes import VolumeStore
    from tasks.candidates import preprocess_with_candidates
    from tasks.worker import preprocess_series

    config, bring = PreprocessConfig(), preprocess_with_candidates if candidates else preprocess_series
    series = index_folder(folder, secret=PUBLIC_KEY).usable[0]

    def run() -> None:
        with tempfile.TemporaryDirectory() as root:
            VolumeStore(root, config)
            bring(series, store_root=root, config=config, access=Access())

    return run


def grid_of(folder: Path) -> Any:
    """Return the working grid of the series."""
    from lidcflow.nodules.gather import ScanGatherer
    from lidcflow.nodules.grid import work_grid
    from lidcflow.pixels.decode import hounsfield_slice
    from lidcflow.privacy import PUBLIC_KEY
    from lidcflow.series.find import index_folder

    series = index_folder(folder, secret=PUBLIC_KEY).usable[0]
    gatherer = ScanGatherer(series)
    for index, source in enumerate(series.slices):
        gatherer.add(index, hounsfield_slice(source))
    return work_grid(gatherer.scan())


def skimage_log(folder: Path) -> Callable[[], Any]:
    """Detect blobs with scikit-image's Laplacian of Gaussian on the grid."""
    from skimage.feature import blob_log

    hu = grid_of(folder).hu
    sigmas = {"min_sigma": SIGMAS_MM[0] / 1.4, "max_sigma": SIGMAS_MM[-1] / 1.4, "num_sigma": len(SIGMAS_MM)}
    return lambda: blob_log((hu + 1000) / 1200, log_scale=True, threshold=0.1, **sigmas)


def skimage_dog(folder: Path) -> Callable[[], Any]:
    """Detect blobs with scikit-image's difference of Gaussians on the grid."""
    from skimage.feature import blob_dog

    hu = grid_of(folder).hu
    return lambda: blob_dog((hu + 1000) / 1200, min_sigma=SIGMAS_MM[0] / 1.4, max_sigma=SIGMAS_MM[-1] / 1.4)


def simpleitk_log(folder: Path) -> Callable[[], Any]:
    """Compute SimpleITK's recursive Laplacian of Gaussian at each scale on the grid, without looking for maxima."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    grid = grid_of(folder)
    image = sitk.GetImageFromArray(grid.hu)
    image.SetSpacing(grid.voxel_mm[::-1].tolist())
    return lambda: [sitk.LaplacianRecursiveGaussian(image, sigma, True) for sigma in SIGMAS_MM]


VARIANTS: dict[str, tuple[str, Callable[[Path], Callable[[], Any]], str]] = {
    "volume": ("volume alone", lambda folder: preprocessing(folder, candidates=False), "lidcflow"),
    "candidates": ("volume, candidates and patches", lambda folder: preprocessing(folder, candidates=True), "lidcflow"),
    "blob_dog": ("scikit-image blob_dog on the grid", skimage_dog, "skimage"),
    "blob_log": ("scikit-image blob_log on the grid", skimage_log, "skimage"),
    "simpleitk": ("SimpleITK Laplacian of Gaussian on the grid", simpleitk_log, "SimpleITK"),
}


def measure(variant: str, folder: Path) -> dict[str, float]:
    """Run a variant twice in this process: the second run is what a worker sees."""
    run = VARIANTS[variant][1](folder)
    run_s = []
    before_bytes = _status_bytes("VmRSS")
    for _ in range(2):
        start_s = time.process_time()
        run()
        run_s.append(time.process_time() - start_s)
    return {"cpu_s": run_s[1], "added_mib": (_status_bytes("VmHWM") - before_bytes) / 2**20}


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def report(slices: int, rounds: int) -> None:
    """Measure every variant that can run here, and print a table."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        make_chest(folder, slices)
        print(f"{slices} slices of 512 x 512\n\n| | CPU, s | memory added, MiB |\n|---|---|---|")
        spent: dict[str, float] = {}
        for variant, (name, _, package) in VARIANTS.items():
            if importlib.util.find_spec(package) is None:
                continue
            command = [sys.executable, __file__, "--variant", variant, "--folder", root]
            runs = [
                json.loads(subprocess.run(command, env=os.environ | ONE_CORE, check=True, capture_output=True).stdout)
                for _ in range(rounds)
            ]
            cpu_s, added_mib = (statistics.median(run[key] for run in runs) for key in ("cpu_s", "added_mib"))
            print(f"| {name} | {cpu_s:.2f} | {added_mib:.0f} |", flush=True)
            spent[variant] = cpu_s
    ours_s = spent["candidates"] - spent["volume"]
    for variant in spent.keys() - {"candidates", "volume"}:
        record_ratio(f"{VARIANTS[variant][0]}: its CPU time by that of candidates and patches", spent[variant] / ours_s)


def main() -> None:
    """Print the table, or measure one variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.folder)))
    else:
        report(options.slices, options.rounds)


if __name__ == "__main__":
    main()
