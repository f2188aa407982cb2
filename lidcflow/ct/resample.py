"""Weights of exact overlap: along z from source slices to slabs, in the plane from pixels to cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OVERLAP_MM = 1e-6
"""Overlaps up to this are rounding, here as in the labels."""

CENTRE_STEP_MM = 1.0
"""Slab thickness of the ``centre`` range: what the paper's public code took, 65 slices of 1 mm."""


def slab_edges_mm(z_top_mm: float, z_bottom_mm: float, h_mm: float, slices: int) -> NDArray[np.float64]:
    """Divide the extent of a series into slabs.

    Parameters
    ----------
    z_top_mm, z_bottom_mm : float
        Positions of the first and the last source slice.
    h_mm : float
        Half the median distance of neighbouring source slices: each covers its position +- h.
    slices : int
        Number of slabs.

    Returns
    -------
    (slices + 1,) array
        Edges in mm, descending: slab k lies between edges k and k + 1.

    Examples
    --------
    >>> slab_edges_mm(9.0, 1.0, 1.0, 5)
    array([10.,  8.,  6.,  4.,  2.,  0.])
    """
    return np.linspace(z_top_mm + h_mm, z_bottom_mm - h_mm, slices + 1)


def centre_edges_mm(edges_mm: NDArray[np.float64], slices: int) -> NDArray[np.float64] | None:
    """Give slabs of 1 mm about the middle of a scan; None when the scan is shorter.

    Parameters
    ----------
    edges_mm : array
        Edges over the whole scan, descending.
    slices : int
        Number of slabs.
    """
    half_mm = slices * CENTRE_STEP_MM / 2
    middle_mm = (edges_mm[0] + edges_mm[-1]) / 2
    if edges_mm[0] - edges_mm[-1] < 2 * half_mm:
        return None
    return np.linspace(middle_mm + half_mm, middle_mm - half_mm, slices + 1)


def overlaps_mm(z_mm: NDArray[np.float64], h_mm: float, edges_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure how much of each source slice lies in each slab.

    Parameters
    ----------
    z_mm : (n,) array
        Positions of the source slices.
    h_mm : float
        Half of what each covers.
    edges_mm : (slices + 1,) array
        Edges of the slabs, descending.

    Returns
    -------
    (slices, n) array
        In mm; a source slice inside the range adds up to 2 h.
    """
    tops_mm = np.minimum(edges_mm[:-1, None], z_mm + h_mm)
    bottoms_mm = np.maximum(edges_mm[1:, None], z_mm - h_mm)
    lengths_mm = np.maximum(tops_mm - bottoms_mm, 0)
    return np.where(lengths_mm > OVERLAP_MM, lengths_mm, 0)


def slab_weights(
    z_mm: NDArray[np.float64], h_mm: float, edges_mm: NDArray[np.float64], *, via_mm: float | None = None
) -> NDArray[np.float64]:
    """Compute the share of each source slice in each slab.

    Parameters
    ----------
    z_mm : (n,) array
        Positions of the source slices.
    h_mm : float
        Half of what each covers.
    edges_mm : (slices + 1,) array
        Edges of the slabs, descending.
    via_mm : float, optional
        Spacing of an intermediate grid: the product of the two steps' weights.

    Returns
    -------
    (slices, n) array
        Rows add up to 1. A slab in a gap takes its neighbours, by distance.
    """
    if via_mm is None:
        return _rows_of_one(overlaps_mm(z_mm, h_mm, edges_mm), z_mm, edges_mm)
    grid_mm = _grid_edges_mm(z_mm, h_mm, via_mm)
    centres_mm = (grid_mm[:-1] + grid_mm[1:]) / 2
    first = slab_weights(z_mm, h_mm, grid_mm)
    second = slab_weights(centres_mm, abs(grid_mm[0] - grid_mm[1]) / 2, edges_mm)
    return second @ first


def _grid_edges_mm(z_mm: NDArray[np.float64], h_mm: float, step_mm: float) -> NDArray[np.float64]:
    """Lay a grid of about `step_mm` over the extent, so that it ends where the scan ends."""
    top_mm, bottom_mm = z_mm.max() + h_mm, z_mm.min() - h_mm
    return np.linspace(top_mm, bottom_mm, max(1, round((top_mm - bottom_mm) / step_mm)) + 1)


def _rows_of_one(
    lengths_mm: NDArray[np.float64], z_mm: NDArray[np.float64], edges_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    sums_mm = lengths_mm.sum(axis=1)
    for slab in np.flatnonzero(sums_mm == 0):
        lengths_mm[slab] = _neighbour_shares((edges_mm[slab] + edges_mm[slab + 1]) / 2, z_mm)
        sums_mm[slab] = 1.0
    shares: NDArray[np.float64] = lengths_mm / sums_mm[:, None]
    return shares


def _neighbour_shares(centre_mm: float, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share a slab that no source slice reaches between the nearest above and the nearest below."""
    shares = np.zeros(len(z_mm))
    above = np.where(z_mm >= centre_mm, z_mm, np.inf).argmin()
    below = np.where(z_mm < centre_mm, z_mm, -np.inf).argmax()
    span_mm = z_mm[above] - z_mm[below]
    shares[above] = (centre_mm - z_mm[below]) / span_mm
    shares[below] = (z_mm[above] - centre_mm) / span_mm
    return shares


def area_weights(source: int, target: int) -> NDArray[np.float64]:
    """Compute the share of each source pixel in each target cell of the same field of view.

    Parameters
    ----------
    source, target : int
        Pixels and cells along an axis.

    Returns
    -------
    (target, source) array
        Rows add up to 1.

    Examples
    --------
    >>> area_weights(3, 2).round(3)
    array([[0.667, 0.333, 0.   ],
           [0.   , 0.333, 0.667]])
    """
    edges = np.linspace(0, source, target + 1)
    pixels = np.arange(source)
    lengths = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    lengths = np.where(lengths > source * 1e-12, lengths, 0)
    shares: NDArray[np.float64] = lengths / lengths.sum(axis=1, keepdims=True)
    return shares
