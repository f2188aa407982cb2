"""Find the lungs along z, on the reduced volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LUNG_BELOW_HU = -400
MIN_LUNG_ML = 500.0
"""Less air than this inside the body is no pair of lungs."""

MIN_AREA_MM2 = 700.0
"""More than a wide trachea and main bronchi; a slab with less is not lung."""

SMALLEST_SHARE = 0.1
"""A pocket of air counts as lung from this share of the largest one: two lungs, not the stomach's bubble."""


def lung_extent_mm(
    mean_hu: NDArray[np.int16], edges_mm: NDArray[np.float64], cell_mm2: float
) -> tuple[float, float] | None:
    """Find the highest and the lowest edge of the slabs that hold lung.

    Parameters
    ----------
    mean_hu : (slices, rows, columns) array of int16
        Channel ``mean`` of a volume over the whole scan.
    edges_mm : (slices + 1,) array
        Edges of its slabs, descending.
    cell_mm2 : float
        Area of a cell in the plane.

    Returns
    -------
    tuple of 2 floats, or None
        z of the top and the bottom in mm; None when there is no lung.
    """
    areas_mm2 = _lung_cells(mean_hu, edges_mm, cell_mm2).sum(axis=(1, 2)) * cell_mm2
    slabs = np.flatnonzero(areas_mm2 >= MIN_AREA_MM2)
    if not len(slabs):
        return None
    return float(edges_mm[slabs[0]]), float(edges_mm[slabs[-1] + 1])


def _lung_cells(mean_hu: NDArray[np.int16], edges_mm: NDArray[np.float64], cell_mm2: float) -> NDArray[np.bool_]:
    """Mark the large connected pockets of air inside the body."""
    pockets, count = ndimage.label(_air_inside(mean_hu < LUNG_BELOW_HU))
    cells = np.bincount(pockets.ravel(), minlength=count + 1)
    cells[0] = 0
    cell_ml = cell_mm2 * (edges_mm[0] - edges_mm[-1]) / len(mean_hu) / 1000
    large = cells >= max(SMALLEST_SHARE * cells.max(), 1)
    if cells[large].sum() * cell_ml < MIN_LUNG_ML:
        return np.zeros(mean_hu.shape, bool)
    marked: NDArray[np.bool_] = large[pockets]
    return marked


def _air_inside(air: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop the air that reaches the rim of its own slab: the room, the padding."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    pockets, count = ndimage.label(air, in_plane)
    outside = np.zeros(count + 1, bool)
    for rim in (pockets[:, 0], pockets[:, -1], pockets[:, :, 0], pockets[:, :, -1]):
        outside[rim] = True
    outside[0] = False
    inside: NDArray[np.bool_] = air & ~outside[pockets]
    return inside
