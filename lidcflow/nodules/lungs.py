"""Find the lungs in three dimensions, closed over vessels, nodules at the wall and masses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.compute_threads import map_in_threads
from lidcflow.nodules.grid import WorkGrid

AIR_BELOW_HU = -500
ROOM_BELOW_HU = -940
"""Air around a patient is near -1000 HU, aerated lung above -950 even with emphysema."""

MIN_LUNG_ML = 150.0
"""Less air than this in one piece inside the body is no lung: a collapsed one, bowel, the trachea alone."""

CLOSED_OVER_MM = 12.0
"""Radius of the ball that vessels and wall-attached nodules are closed over with."""

COARSE_MM = 2.8
"""Voxels that lungs are found on: they need no finer ones."""

HULL_OVER_MM = 32.0
"""The same for masses at the wall and in the hilum; the mediastinum is closed over too."""


@dataclass(frozen=True)
class Lungs:
    """The lungs of a scan, as masks of a working grid.

    Parameters
    ----------
    air : (slices, rows, columns) array of bool
        Aerated lung.
    closed : (slices, rows, columns) array of bool
        With the vessels and nodules in it and at its wall.
    hull : (slices, rows, columns) array of bool
        With masses, and what is between the lungs.
    """

    air: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    hull: NDArray[np.bool_]


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
    factor = tuple(
        min(n, max(1, round(COARSE_MM / mm))) for n, mm in zip(grid.hu.shape, grid.voxel_mm.tolist(), strict=True)
    )
    voxel_mm = grid.voxel_mm * factor
    air = _lung_air(_coarse(grid.hu, factor), voxel_mm)
    if not air.any():
        return None
    masks = (air, voxel_mm, CLOSED_OVER_MM), (air[:, ::2, ::2], voxel_mm * (1, 2, 2), HULL_OVER_MM)
    closed, hull = map_in_threads(lambda mask: close_over(*mask), masks)
    coarser = (factor[0], 2 * factor[1], 2 * factor[2])
    shape = grid.hu.shape
    return Lungs(_fine(air, factor, shape), _fine(closed, factor, shape), _fine(hull, coarser, shape))


def close_over(air: NDArray[np.bool_], voxel_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Close a mask with a ball, and fill what it encloses in a slice.

    Parameters
    ----------
    air : (slices, rows, columns) array of bool
        Not empty.
    voxel_mm : (3,) array of float64
        Distance of slices, rows and columns.
    radius_mm : float
        Of the ball.
    """
    box = ndimage.find_objects(air.view(np.uint8))[0]
    spare = [int(radius_mm / mm) + 1 for mm in voxel_mm]
    padded = np.pad(air[box], [(n, n) for n in spare])
    dilated = ndimage.distance_transform_edt(~padded, sampling=voxel_mm) <= radius_mm
    kept = ndimage.distance_transform_edt(dilated, sampling=voxel_mm) > radius_mm
    closed = np.zeros_like(air)
    closed[box] = kept[tuple(slice(n, -n) for n in spare)] | air[box]
    for plane in closed[box[0]]:
        plane |= ndimage.binary_fill_holes(plane)
    return closed


def _coarse(hu: NDArray[np.float32], factor: tuple[int, ...]) -> NDArray[np.float32]:
    """Average blocks of voxels, and smooth a little."""
    even = hu[tuple(slice(0, n // f * f) for n, f in zip(hu.shape, factor, strict=True))]
    offsets = [(k, i, j) for k in range(factor[0]) for i in range(factor[1]) for j in range(factor[2])]
    total = sum(even[k :: factor[0], i :: factor[1], j :: factor[2]] for k, i, j in offsets)
    return np.asarray(ndimage.gaussian_filter(total * np.float32(1 / len(offsets)), 0.5, truncate=2))


def _lung_air(hu: NDArray[np.float32], voxel_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark large pieces of air that do not reach the rim of the images.

    Where all do, as in a narrow field of view, those that are denser than room air, and else all but the largest.
    """
    pieces, count = ndimage.label(hu < AIR_BELOW_HU)
    size_ml = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_mm.prod() / 1000
    size_ml[0] = 0
    at_rim = np.zeros(count + 1, bool)
    for rim in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        at_rim[rim] = True
    large = size_ml > MIN_LUNG_ML
    inside = large & ~at_rim
    if large.any() and not inside.any():
        inside[1:] = large[1:] & (ndimage.mean(hu, pieces, np.arange(1, count + 1)) > ROOM_BELOW_HU)
    if large.any() and not inside.any():
        inside = large
        inside[np.argmax(size_ml * at_rim)] = False
    marked: NDArray[np.bool_] = inside[pieces]
    return marked


def _fine(mask: NDArray[np.bool_], factor: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Repeat the voxels of a coarser mask; the last ones of an odd number are as those before."""
    for axis, n in enumerate(shape):
        index = np.minimum(np.arange(n) // factor[axis], mask.shape[axis] - 1)
        mask = mask.take(index, axis=axis)
    return mask
