"""Find nodule candidates: blobs in the lungs, in channels for solid nodules, for ground glass and for masses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.nodules.blobs import BALL, Blobs, find_blobs
from lidcflow.nodules.grid import Scan, WorkGrid, work_grid
from lidcflow.nodules.lungs import Lungs, find_lungs
from lidcflow.nodules.rays import look_around, share_in
from lidcflow.nodules.score import nodule_score
from lidcflow.nodules.table import CANDIDATE, RAW_FEATURES
from lidcflow.nodules.whole_lungs import incomplete_lungs

MOST_CANDIDATES = 300

NO_LUNGS = "no-lungs"
CANDIDATES_CUT = "candidates-cut"

MARGIN_MM = 20.0
"""Margin kept around the lungs: Gaussians and rays reach this far."""

DENSEST_HAZE_HU = -430
"""Ground glass is below this: what is denser has the HU of the lung in its channel."""


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
        ``no-lungs``, ``incomplete-lungs``, ``candidates-cut``.
    """

    table: NDArray[np.void]
    places: NDArray[np.float64]
    flags: tuple[str, ...] = ()


class Channel(NamedTuple):
    """Search for one kind of nodule: its scales, its Laplacian, and how many blobs are measured."""

    sigmas_mm: tuple[float, ...]
    at_least: float
    most_blobs: int


SOLID = Channel((1.6, 2.2, 3.1, 4.4, 6.2, 8.7, 12.3), 12, 1200)
GROUND_GLASS = Channel((3.6, 5.2, 7.5, 10.8), 8, 300)
MASS = Channel((8.7, 12.3, 17.4, 24.6), 12, 60)


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
        return none_for(NO_LUNGS)
    incomplete = incomplete_lungs(grid, lungs)
    near, within, start = _cropped(grid, lungs)
    del grid, lungs  # the rest of the scan would take as much memory as all that follows
    table, index = blobs_in_lungs(near, within)
    table["score"] = nodule_score(table)
    kept = _without_covered(index * near.voxel_mm, table["sigma_mm"] * BALL, table["score"])
    cut = (CANDIDATES_CUT,) if len(kept) > MOST_CANDIDATES else ()
    best = kept[:MOST_CANDIDATES]
    return Candidates(*_placed(scan, near, table[best], index[best] + start), (*incomplete, *cut))


def _cropped(grid: WorkGrid, lungs: Lungs) -> tuple[WorkGrid, Lungs, NDArray[np.float64]]:
    """Return the part of a grid around the lungs, and the voxel that it begins with."""
    found = ndimage.find_objects(lungs.hull.view(np.uint8))[0]
    spare = (MARGIN_MM / grid.voxel_mm).astype(int).tolist()
    box = tuple(
        slice(max(0, side.start - n), min(size, side.stop + n))
        for side, n, size in zip(found, spare, grid.hu.shape, strict=True)
    )
    near = WorkGrid(grid.hu[box].copy(), grid.voxel_mm, grid.shrink)
    within = Lungs(lungs.air[box].copy(), lungs.closed[box].copy(), lungs.hull[box].copy())
    return near, within, np.array([side.start for side in box], np.float64)


def none_for(flag: str) -> Candidates:
    """Return no candidates, with the reason as a flag."""
    return Candidates(np.empty(0, CANDIDATE), np.empty((0, 3)), (flag,))


def _placed(
    scan: Scan, grid: WorkGrid, table: NDArray[np.void], index: NDArray[np.float64]
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Fill in where candidates are in the scan."""
    places = grid.scan_index(index)
    table["z_mm"] = scan.z_at(places[:, 0])
    nearest = np.clip(np.rint(places[:, 0]), 0, len(scan.z_mm) - 1)
    source = scan.source_index(np.column_stack([nearest, places[:, 1:]]))
    table["source"] = np.floor(source[:, 0])
    table["row"], table["column"] = source[:, 1], source[:, 2]
    return table, places


def blobs_in_lungs(grid: WorkGrid, lungs: Lungs) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Find and measure the blobs of every channel; one thing may stand in several.

    Outside of the lungs the channels have the HU of lung: a nodule at the wall then is a blob as well.

    Parameters
    ----------
    grid : WorkGrid
        The scan.
    lungs : Lungs
        In it.

    Returns
    -------
    table : (n,) array of CANDIDATE
        Without score and place in the scan.
    index : (n, 3) array of float64
        Slice, row and column in the grid.
    """
    lung_hu = np.float32(np.median(grid.hu[lungs.air][::50]))
    alone = np.where(lungs.closed, grid.hu, lung_hu)
    parts = [_measured(alone, alone, grid, lungs.closed, SOLID)]
    hazy = np.where(lungs.air & (grid.hu < DENSEST_HAZE_HU), grid.hu, lung_hu)
    parts.append(_measured(hazy, alone, grid, lungs.closed, GROUND_GLASS))
    del alone, hazy
    with_masses = np.where(lungs.hull, grid.hu, lung_hu)
    parts.append(_measured(with_masses, with_masses, grid, lungs.hull, MASS))
    for channel, (table, _) in enumerate(parts):
        table["channel"] = channel
    return np.concatenate([table for table, _ in parts]), np.concatenate([index for _, index in parts])


def _measured(
    hu: NDArray[np.float32], alone: NDArray[np.float32], grid: WorkGrid, mask: NDArray[np.bool_], kind: Channel
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Find the blobs of a channel and measure what is around them, without and with what is outside of the lungs."""
    blobs = find_blobs(hu, mask, grid.voxel_mm, sigmas_mm=kind.sigmas_mm, at_least=kind.at_least)
    blobs = blobs.take(np.argsort(-blobs.dot, kind="stable")[: kind.most_blobs])
    table = np.zeros(len(blobs), CANDIDATE)
    if not len(blobs):
        return table, blobs.index
    _describe(table, blobs)
    around = look_around(alone, blobs.index, blobs.sigma_mm * BALL, grid.voxel_mm)
    raw = look_around(grid.hu, blobs.index, blobs.sigma_mm * BALL, grid.voxel_mm)
    for name, values in vars(around).items():
        table[name] = values
    for name in RAW_FEATURES:
        table[f"raw_{name}"] = getattr(raw, name)
    table["lung_share"] = share_in(mask, blobs.index, blobs.sigma_mm * BALL, grid.voxel_mm)
    table["diameter_mm"] = 2 * BALL * blobs.sigma_mm * around.reach
    return table, blobs.index


def _describe(table: NDArray[np.void], blobs: Blobs) -> None:
    least, middle, most = blobs.curvatures.T
    table["sigma_mm"], table["laplacian"], table["dot"] = blobs.sigma_mm, blobs.laplacian, blobs.dot
    table["sphericity"], table["flatness"] = least / np.maximum(most, 1e-3), middle / np.maximum(most, 1e-3)


def _without_covered(
    places_mm: NDArray[np.float64], radius_mm: NDArray[np.floating], score: NDArray[np.floating]
) -> NDArray[np.intp]:
    """Keep the best, each but where a better one is nearer than 0.8 of the larger radius; one more than are wanted."""
    kept: list[int] = []
    for i in np.argsort(-score, kind="stable").tolist():
        near_mm = np.linalg.norm(places_mm[kept] - places_mm[i], axis=1)
        if not (near_mm < 0.8 * np.maximum(radius_mm[kept], radius_mm[i])).any():
            kept.append(i)
        if len(kept) > MOST_CANDIDATES:
            break
    return np.array(kept, np.intp)
