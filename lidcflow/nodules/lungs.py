"""Find the lungs in three dimensions, closed over vessels, nodules at the wall and masses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.nodules.grid import WorkGrid

AIR_BELOW_HU = -500
MIN_LUNG_ML = 150.0
"""Less air than this in one piece inside the body is no lung: a collapsed one, bowel, the trachea alone."""

CLOSED_OVER_MM = 12.0
"""Radius of the ball that vessels and wall-attached nodules are closed over with."""


@dataclass(frozen=True)
class Lungs:
    """The lungs of a scan, as masks of a working grid.

    Parameters
    ----------
    air : (slices, rows, columns) array of bool
        Aerated lung.
    closed : (slices, rows, columns) array of bool
        With the vessels and nodules in it and at its wall.
    """

    air: NDArray[np.bool_]
    closed: NDArray[np.bool_]


def find_lungs(grid: WorkGrid) -> Lungs | None:
    """Find the lungs of a scan.

    Parameters
    ----------
    grid : WorkGrid
        The scan.

    Returns
    -------
    Lungs, or None
        None where there are none.
    """
    coarse, voxel_mm = _coarse(grid)
    air = _lung_air(coarse, voxel_mm)
    if not air.any():
        return None
    return Lungs(_fine(air, grid.hu.shape), _fine(_closed(air, voxel_mm), grid.hu.shape))


def _coarse(grid: WorkGrid) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Halve rows and columns, and smooth a little."""
    slices, rows, columns = grid.hu.shape
    even = grid.hu[:, : rows // 2 * 2, : columns // 2 * 2]
    halved = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    smooth = ndimage.gaussian_filter(halved * np.float32(0.25), 0.5, truncate=2)
    return smooth, grid.voxel_mm * (1, 2, 2)


def _lung_air(hu: NDArray[np.float32], voxel_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark large pieces of air that do not reach the rim of the images; where all do, all but the largest."""
    pieces, count = ndimage.label(hu < AIR_BELOW_HU)
    size_ml = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_mm.prod() / 1000
    size_ml[0] = 0
    at_rim = np.zeros(count + 1, bool)
    for rim in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        at_rim[rim] = True
    large = size_ml > MIN_LUNG_ML
    inside = large & ~at_rim
    if large.any() and not inside.any():
        inside = large
        inside[np.argmax(size_ml * at_rim)] = False
    marked: NDArray[np.bool_] = inside[pieces]
    return marked


def _closed(air: NDArray[np.bool_], voxel_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Close the lungs with a ball, and fill what is enclosed in a slice."""
    box = ndimage.find_objects(air.view(np.uint8))[0]
    spare = [int(CLOSED_OVER_MM / mm) + 1 for mm in voxel_mm]
    padded = np.pad(air[box], [(n, n) for n in spare])
    dilated = ndimage.distance_transform_edt(~padded, sampling=voxel_mm) <= CLOSED_OVER_MM
    kept = ndimage.distance_transform_edt(dilated, sampling=voxel_mm) > CLOSED_OVER_MM
    closed = np.zeros_like(air)
    closed[box] = kept[tuple(slice(n, -n) for n in spare)] | air[box]
    for plane in closed[box[0]]:
        plane |= ndimage.binary_fill_holes(plane)
    return closed


def _fine(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    fine = np.zeros(shape, bool)
    fine[:, : 2 * mask.shape[1], : 2 * mask.shape[2]] = mask.repeat(2, axis=1).repeat(2, axis=2)
    return fine
