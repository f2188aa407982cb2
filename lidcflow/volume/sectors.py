"""Sectors: runs of neighbouring slices, numbered from 1 at the top of the chest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def sector_slices(n_slices: int, sector_num: int) -> list[range]:
    """Cut the slices of a volume into sectors whose sizes differ by at most one.

    Parameters
    ----------
    n_slices : int
        Slices of a volume.
    sector_num : int
        Sectors wanted, 1 to `n_slices`.

    Returns
    -------
    list of range
        Slices of each sector, counted from 0; the first is at the top of the chest.

    Raises
    ------
    ValueError
        If there are more sectors than slices, or none.

    Examples
    --------
    >>> sector_slices(65, 5)[1]
    range(13, 26)
    """
    if not 1 <= sector_num <= n_slices:
        raise ValueError(f"sectors: sector_num must be 1 to {n_slices}, the number of slices, got {sector_num}")
    bounds = [sector * n_slices // sector_num for sector in range(sector_num + 1)]
    return [range(first, end) for first, end in pairwise(bounds)]


def sector_of(n_slices: int, sector_num: int) -> NDArray[np.int64]:
    """Return the sector of each slice.

    Parameters
    ----------
    n_slices, sector_num : int
        As for `sector_slices`.

    Returns
    -------
    (n_slices,) array of int64
        Sector numbers, from 1.

    Raises
    ------
    ValueError
        If there are more sectors than slices, or none.

    Examples
    --------
    >>> sector_of(5, 2)
    array([1, 1, 2, 2, 2])
    """
    sizes = [len(slices) for slices in sector_slices(n_slices, sector_num)]
    return np.repeat(np.arange(1, sector_num + 1), sizes)
