"""Find nodule candidates: blobs in the lungs, in a channel for solid nodules and one for ground glass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.nodules.blobs import BALL, Blobs, find_blobs
from lidcflow.nodules.grid import Scan, WorkGrid, work_grid
from lidcflow.nodules.lungs import Lungs, find_lungs
from lidcflow.nodules.rays import Surroundings, look_around

MOST_CANDIDATES = 300

NO_LUNGS = "no-lungs"
CANDIDATES_CUT = "candidates-cut"

CHANNELS = ("solid", "ground-glass")

CANDIDATE = np.dtype(
    [
        ("z_mm", "<f4"),
        ("row", "<f4"),
        ("column", "<f4"),
        ("source", "<i4"),
        ("channel", "u1"),
        ("diameter_mm", "<f4"),
        ("score", "<f4"),
        *[(name, "<f4") for name in ("dot", "laplacian", "least_curvature", "middle_curvature", "most_curvature")],
        *[(name, "<f4") for name in ("sigma_mm", "inside_hu", "edge_hu", "spread_hu", "contrast_hu")],
        *[(name, "<f4") for name in ("shell_air", "near_air", "roundness")],
    ]
)
"""A row of the table of candidates; see docs/nodules.md for its columns."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of a series, best first.

    Parameters
    ----------
    table : (n,) array of CANDIDATE
        One row for each.
    places : (n, 3) array of float64
        Slice, row and column in the scan.
    flags : tuple of str
        ``no-lungs``, ``candidates-cut``.
    """

    table: NDArray[np.void]
    places: NDArray[np.float64]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Channel:
    """How one kind of nodule is looked for."""

    sigmas_mm: tuple[float, ...]
    at_least: float
    most_blobs: int
    most: int
    air_share: float
    inside_hu: tuple[float, float]
    below_hu: float


SOLID = Channel((1.6, 2.2, 3.1, 4.4, 6.2, 8.7, 12.3), 12, 2000, 200, 0.6, (-650, -250), np.inf)
GROUND_GLASS = Channel((3.6, 5.2, 7.5, 10.8), 8, 600, 50, 0.5, (-850, -750), -150)


def find_candidates(hu: NDArray[np.int16], z_mm: NDArray[np.float64], pixel_mm: tuple[float, float]) -> Candidates:
    """Find the candidates of a series.

    Parameters
    ----------
    hu : (slices, rows, columns) array of int16
        HU, top of the chest first.
    z_mm : (slices,) array of float64
        Position of each slice, descending.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns.

    Returns
    -------
    Candidates
        At most `MOST_CANDIDATES`, best first; the same for the same input.
    """
    return candidates_of(Scan(hu, np.asarray(z_mm, np.float64), pixel_mm))


def candidates_of(scan: Scan) -> Candidates:
    """Find the candidates of a scan, as `find_candidates`."""
    grid = work_grid(scan)
    lungs = find_lungs(grid)
    if lungs is None:
        return Candidates(np.empty(0, CANDIDATE), np.empty((0, 3)), (NO_LUNGS,))
    parts = [_solid(grid, lungs), _ground_glass(grid, lungs)]
    table = np.concatenate([table for table, _ in parts])
    index = np.concatenate([index for _, index in parts])
    best = np.argsort(-table["score"], kind="stable")
    flags = (CANDIDATES_CUT,) if len(best) > MOST_CANDIDATES else ()
    best = best[:MOST_CANDIDATES]
    return Candidates(*_placed(scan, grid, table[best], index[best]), flags)


def _placed(
    scan: Scan, grid: WorkGrid, table: NDArray[np.void], index: NDArray[np.float64]
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Fill in where candidates are in the scan."""
    places = grid.scan_index(index)
    table["z_mm"] = scan.z_at(places[:, 0])
    table["row"], table["column"] = places[:, 1], places[:, 2]
    table["source"] = np.clip(np.rint(places[:, 0]), 0, len(scan.z_mm) - 1)
    return table, places


def _solid(grid: WorkGrid, lungs: Lungs) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    return _chosen(grid.hu, grid, lungs, SOLID, channel=0)


def _ground_glass(grid: WorkGrid, lungs: Lungs) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Look at the lung without what is denser than ground glass."""
    lung_hu = np.float32(np.median(grid.hu[lungs.air][::50]))
    hazy = np.where(lungs.air & (grid.hu < -430), grid.hu, lung_hu)
    return _chosen(hazy, grid, lungs, GROUND_GLASS, channel=1)


def _chosen(
    hu: NDArray[np.float32], grid: WorkGrid, lungs: Lungs, kind: Channel, channel: int
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Find the blobs of a channel, score them and drop those that a better one covers."""
    box = _box(lungs.closed, grid.voxel_mm)
    blobs = find_blobs(hu[box], lungs.closed[box], grid.voxel_mm, sigmas_mm=kind.sigmas_mm, at_least=kind.at_least)
    blobs = blobs.take(np.argsort(-blobs.dot, kind="stable")[: kind.most_blobs])
    around = look_around(grid.hu[box], blobs.index, blobs.sigma_mm * BALL, grid.voxel_mm)
    score = _score(blobs, around, kind)
    kept = _without_covered(blobs.index * grid.voxel_mm, blobs.sigma_mm * BALL, score, kind.most)
    table = _table(blobs, around, kept)
    table["score"], table["channel"] = _on_one_scale(score[kept]), channel
    return table, blobs.index[kept] + [side.start for side in box]


def _box(mask: NDArray[np.bool_], voxel_mm: NDArray[np.float64], margin_mm: float = 20) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.view(np.uint8))[0]
    spare = (margin_mm / voxel_mm).astype(int).tolist()
    return tuple(
        slice(max(0, side.start - n), min(size, side.stop + n))
        for side, n, size in zip(found, spare, mask.shape, strict=True)
    )


def _score(blobs: Blobs, around: Surroundings, kind: Channel) -> NDArray[np.float64]:
    """Score blobs: how much of a dot they are, with air around and the density of a nodule inside."""
    low_hu, high_hu = kind.inside_hu
    air = np.clip((around.shell_air - 0.15) / kind.air_share, 0, 1)
    dense = np.clip((around.inside_hu - low_hu) / (high_hu - low_hu), 0, 1)
    return np.asarray(blobs.dot * air * dense * (around.inside_hu < kind.below_hu))


def _without_covered(
    places_mm: NDArray[np.float64], radius_mm: NDArray[np.float64], score: NDArray[np.float64], most: int
) -> NDArray[np.intp]:
    """Keep the best, each but where a better one is nearer than 0.8 of the larger radius."""
    kept: list[int] = []
    for i in np.argsort(-score, kind="stable").tolist():
        if score[i] <= 0 or len(kept) == most:
            break
        near_mm = np.linalg.norm(places_mm[kept] - places_mm[i], axis=1)
        if not (near_mm < 0.8 * np.maximum(radius_mm[kept], radius_mm[i])).any():
            kept.append(i)
    return np.array(kept, np.intp)


def _on_one_scale(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide scores, best first, by the median of ranks 5 to 25, so that channels and scans compare."""
    return score if len(score) <= 5 else score / max(float(np.median(score[4:25])), 1e-6)


def _table(blobs: Blobs, around: Surroundings, kept: NDArray[np.intp]) -> NDArray[np.void]:
    table = np.zeros(len(kept), CANDIDATE)
    table["diameter_mm"] = 2 * around.radius_mm[kept]
    columns: Iterable[tuple[str, NDArray[np.float64]]] = (
        ("dot", blobs.dot),
        ("laplacian", blobs.laplacian),
        ("least_curvature", blobs.curvatures[:, 0]),
        ("middle_curvature", blobs.curvatures[:, 1]),
        ("most_curvature", blobs.curvatures[:, 2]),
        ("sigma_mm", blobs.sigma_mm),
        *((name, getattr(around, name)) for name in CANDIDATE.names[-7:]),
    )
    for name, values in columns:
        table[name] = values[kept]
    return table
