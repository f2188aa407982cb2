"""Judge whether the lungs that were found are those of a whole chest."""

from __future__ import annotations

import numpy as np

from lidcflow.nodules.grid import WorkGrid
from lidcflow.nodules.lungs import Lungs

INCOMPLETE_LUNGS = "incomplete-lungs"

LEAST_ML = 1500.0
"""Less air has a child, or lungs that are cut or collapsed; the real series at hand have 3,150 to 4,400 ml."""

LEAST_SIDE = 0.2
"""Share of the air in the lesser half of the body: 0.39 to 0.47 in these series."""

MOST_AT_END = 0.25
"""Area of the lungs in the first or the last slice, of the largest in any: at most 0.01 in these series."""

TISSUE_ABOVE_HU = -300


def incomplete_lungs(grid: WorkGrid, lungs: Lungs) -> tuple[str, ...]:
    """Return a flag if the lungs are small, one-sided, or cut by the first or the last slice.

    Parameters
    ----------
    grid : WorkGrid
        The scan.
    lungs : Lungs
        In it.

    Returns
    -------
    tuple of str
        `INCOMPLETE_LUNGS`, or nothing.
    """
    areas = lungs.air.sum(axis=(1, 2))
    small = areas.sum() * grid.voxel_mm.prod() / 1000 < LEAST_ML
    cut = max(areas[0], areas[-1]) > MOST_AT_END * areas.max()
    return (INCOMPLETE_LUNGS,) if small or cut or _lesser_side(grid, lungs) < LEAST_SIDE else ()


def _lesser_side(grid: WorkGrid, lungs: Lungs) -> float:
    """Return the share of the air on the lesser side of the middle of the body."""
    tissue, air = (grid.hu[::2, ::2] > TISSUE_ABOVE_HU).sum(axis=(0, 1)), lungs.air.sum(axis=(0, 1))
    middle = int(np.searchsorted(np.cumsum(tissue), tissue.sum() / 2))
    side = float(air[:middle].sum() / air.sum())
    return min(side, 1 - side)
