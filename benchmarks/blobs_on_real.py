"""Where blob detectors rank the nodules of real series, beside the candidates of lidcflow, and what they take.

    python benchmarks/blobs_on_real.py [--real ../shared/real]

Every detector gets the same working grid, and scikit-image's the box of the lungs that lidcflow finds, with what is
outside of the lungs at the HU of lung: without them they rank ribs and vessels of the mediastinum first. Blobs are
ordered by their normalised Laplacian. A nodule of 3 mm and more that at least three readers marked counts as found by
LUNA16's rule. scikit-image is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from lidcflow.dicom.records import Series
from lidcflow.labels.match import Images, match_readings
from lidcflow.labels.nodules import Nodule, group_readings
from lidcflow.labels.sources import read_source
from lidcflow.nodules.candidates import MOST_CANDIDATES, candidates_of
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.grid import Scan, WorkGrid, work_grid
from lidcflow.nodules.lungs import find_lungs
from lidcflow.nodules.table import CANDIDATE
from lidcflow.nodules.truth import Kind, consensus, judge_candidates
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder

SIGMAS_MM = (1.6, 2.2, 3.1, 4.4, 6.2, 8.7, 12.3)
VOXEL_MM = 1.4


class Case(NamedTuple):
    """A real series with its nodules."""

    scan: Scan
    nodules: list[Nodule]
    images: Images
    pixel_mm: tuple[float, float]


class Result(NamedTuple):
    """CPU seconds of a detector on a series, how many blobs it found, and the rank of each nodule, 0 for a miss."""

    cpu_s: float
    found: int
    ranks: tuple[int, ...]


def cases(real: Path) -> dict[str, Case]:
    """Read the series of LIDC-IDRI and their readings, by patient."""
    return {folder.name: case_of(folder) for folder in sorted(real.glob("LIDC-IDRI*/LIDC-IDRI-*"))}


def case_of(folder: Path) -> Case:
    """Read one series and its readings."""
    series = index_folder(folder, secret=PUBLIC_KEY).usable[0]
    images = Images(
        series.series_instance_uid,
        np.array([source.z_mm for source in series.slices]),
        tuple(source.sop_instance_uid for source in series.slices),
        series.slice_spacing_mm / 2,
        series.acquisition.slice_thickness_mm,
        series.rows,
        series.columns,
    )
    readings = [one for book in read_source(str(folder)) for one in book.readings]
    own = [one for one in readings if one.series_instance_uid == series.series_instance_uid]
    nodules = group_readings(match_readings(own, images)[0], images)
    return Case(scan_of(series), nodules, images, (series.row_spacing_mm, series.column_spacing_mm))


def scan_of(series: Series) -> Scan:
    """Read the voxels of a series."""
    gatherer = ScanGatherer(series)
    for index, source in enumerate(series.slices):
        gatherer.add(index, hounsfield_slice(source))
    scan = gatherer.scan()
    if scan is None:
        raise SystemExit(f"series {series.series_instance_uid}: must have at least 2 slices, got fewer")
    return scan


def own_candidates(scan: Scan) -> Any:
    """Find candidates as preprocessing does: with the grid, the lungs and the measurements."""
    return candidates_of(scan).table


def of_skimage(detect: Callable[..., Any], **options: Any) -> Callable[[Scan], Any]:
    """Find blobs with a detector of scikit-image in the lungs of the grid."""

    def find(scan: Scan) -> Any:
        grid = work_grid(scan)
        lungs = find_lungs(grid)
        if lungs is None:
            return np.zeros(0, CANDIDATE)
        alone = np.where(lungs.closed, grid.hu, np.float32(np.median(grid.hu[lungs.air])))
        box = ndimage.find_objects(lungs.closed.astype(np.uint8))[0]
        sizes = {"min_sigma": SIGMAS_MM[0] / VOXEL_MM, "max_sigma": SIGMAS_MM[-1] / VOXEL_MM}
        blobs = detect((alone[box] + 1000) / 1200, threshold=0.1, **sizes, **options)
        blobs = ranked(alone[box], blobs)
        blobs[:, :3] += [side.start for side in box]
        return as_table(blobs, scan, grid)

    return find


def ranked(hu: Any, blobs: Any) -> Any:
    """Order blobs by the normalised Laplacian at their place and scale, the greatest first."""
    strength = np.zeros(len(blobs))
    for sigma in np.unique(blobs[:, 3]):
        of = blobs[:, 3] == sigma
        laplacian = -(sigma**2) * ndimage.gaussian_laplace(hu, sigma)
        strength[of] = laplacian[tuple(blobs[of, :3].astype(int).T)]
    return blobs[np.argsort(-strength, kind="stable")]


def as_table(blobs: Any, scan: Scan, grid: WorkGrid) -> Any:
    """Place blobs of the grid in the series."""
    table = np.zeros(len(blobs), CANDIDATE)
    places = grid.scan_index(blobs[:, :3].astype(float))
    table["z_mm"] = scan.z_at(places[:, 0])
    source = scan.source_index(places)
    table["row"], table["column"] = source[:, 1], source[:, 2]
    return table


def measure(find: Callable[[Scan], Any], case: Case) -> Result:
    """Run a detector on a series and judge what it finds."""
    start_s = time.process_time()
    table = find(case.scan)
    cpu_s = time.process_time() - start_s
    truth = judge_candidates(table, case.nodules, case.images, case.pixel_mm)
    counting = [i for i, one in enumerate(case.nodules) if consensus(one, case.images, case.pixel_mm).counts]
    hits = [np.flatnonzero((truth.nodules == i) & (truth.kinds == Kind.NODULE)) for i in counting]
    return Result(cpu_s, len(table), tuple(int(hit[0]) + 1 if len(hit) else 0 for hit in hits))


def detectors() -> dict[str, Callable[[Scan], Any]]:
    """Return the detectors that can run here, lidcflow's first."""
    found: dict[str, Callable[[Scan], Any]] = {"lidcflow candidates": own_candidates}
    if importlib.util.find_spec("skimage"):
        from skimage.feature import blob_dog, blob_log

        found["scikit-image blob_log"] = of_skimage(blob_log, num_sigma=len(SIGMAS_MM), log_scale=True)
        found["scikit-image blob_dog"] = of_skimage(blob_dog)
    else:
        print("scikit-image is not installed: left out")
    return found


def report(real: Path) -> None:
    """Print a table of every detector, and its CPU time and misses as ratios to lidcflow's."""
    series = cases(real)
    if not series:
        raise SystemExit(f"{real}: must hold series of LIDC-IDRI, got none")
    print("| | series | CPU, s | blobs | ranks of nodules (0: missed) |\n|---|---|---|---|---|")
    results = {}
    for name, find in detectors().items():
        results[name] = [measure(find, case) for case in series.values()]
        for patient, one in zip(series, results[name], strict=True):
            ranks = ", ".join(map(str, one.ranks))
            print(f"| {name} | {patient} | {one.cpu_s:.2f} | {one.found} | {ranks} |", flush=True)
    print_ratios(results)


def print_ratios(results: dict[str, list[Result]]) -> None:
    """Print CPU time as a ratio to the first detector's, and the share of nodules among the first candidates."""
    first_s = sum(one.cpu_s for one in next(iter(results.values())))
    print(f"\n| | CPU, ratio | nodules in the first 10 | in the first {MOST_CANDIDATES} |\n|---|---|---|---|")
    for name, found in results.items():
        ranks = np.array([rank for one in found for rank in one.ranks])
        cpu_s = sum(one.cpu_s for one in found)
        within = [f"{((ranks > 0) & (ranks <= most)).sum()} of {len(ranks)}" for most in (10, MOST_CANDIDATES)]
        print(f"| {name} | {cpu_s / first_s:.1f} | {within[0]} | {within[1]} |")


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path(__file__).parents[2] / "shared" / "real")
    report(parser.parse_args().real)


if __name__ == "__main__":
    main()
