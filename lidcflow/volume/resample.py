"""Weights of exact overlap along z and in the plane, and the reduction of one slice in the plane."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.pixels.hounsfield import AIR_HU, HIGHEST_HU

OVERLAP_MM = 1e-6
"""Overlaps up to this are rounding, here as in the labels."""

CENTRE_STEP_MM = 1.0
"""Slab thickness of the ``centre`` range: what the paper's public code took, 65 slices of 1 mm."""


Integer = TypeVar("Integer", np.int16, np.int32)

EXACT_SUMS = np.iinfo(np.uint16).max // (HIGHEST_HU - AIR_HU)
"""Values in HU, counted from air, whose sum still fits 16 bits: a block of 4 x 4."""


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
    """Return slabs of 1 mm about the middle of a scan; None when the scan is shorter.

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


def reduce_plane(hu: NDArray[np.int16], size: int) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Reduce a slice to `size` x `size` cells over its full field of view.

    Parameters
    ----------
    hu : (rows, columns) array of int16
        HU in [-1024, 3071].
    size : int
        Rows and columns of the result.

    Returns
    -------
    mean : (size, size) array of float32
        Area-weighted mean of the pixels under a cell.
    peak : (size, size) array of int16
        Maximum of the pixels that overlap it.
    """
    rows, columns = hu.shape
    if rows % size == 0 and columns % size == 0:
        return _block_mean(hu, size), _blocks(hu, size, np.maximum, np.int16)
    mean = window_mean(np.ascontiguousarray(window_mean(hu, size).T), size)
    peak = _window_peak(np.ascontiguousarray(_window_peak(hu, size).T), size)
    return mean.T, peak.T


def _block_mean(hu: NDArray[np.int16], size: int) -> NDArray[np.float32]:
    """Average blocks of whole pixels.

    Sums of up to 16 values fill 16 bits when counted from -1024 HU. Adding them modulo 2**16 and shifting the
    few results is exact, and twice as fast as adding 32 bits.
    """
    pixels = hu.size // size**2
    share = np.float32(1 / pixels)
    if pixels > EXACT_SUMS:
        return _blocks(hu, size, np.add, np.int32).astype(np.float32) * share
    above_air = (_blocks(hu, size, np.add, np.int16) - np.int16(pixels * AIR_HU)).view(np.uint16)
    return above_air.astype(np.float32) * share + np.float32(AIR_HU)


def _blocks(hu: NDArray[np.int16], size: int, combine: np.ufunc, kind: type[Integer]) -> NDArray[Integer]:
    """Combine blocks of whole pixels: rows first, so that the strided columns are few."""
    rows, columns = hu.shape
    plane: NDArray[Integer] = combine.reduce(hu.reshape(size, rows // size, columns), axis=1, dtype=kind)
    wide = columns // size
    while wide % 2 == 0:
        plane, wide = combine(plane[:, ::2], plane[:, 1::2]), wide // 2
    folded = plane[:, ::wide]
    for column in range(1, wide):
        folded = combine(folded, plane[:, column::wide])
    return folded


def window_mean(plane: NDArray[np.int16] | NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Average over rows with the weights of their overlap; measured twice as fast as a matrix product."""
    indices, weights = _windows(len(plane), size)
    mean: NDArray[np.float32] = plane[indices[0]] * weights[0]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        mean += plane[index] * weight
    return mean


def _window_peak(plane: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    indices, _ = _windows(len(plane), size)
    peak: NDArray[np.int16] = plane[indices[0]]
    for index in indices[1:]:
        np.maximum(peak, plane[index], out=peak)
    return peak


@lru_cache(maxsize=16)
def _windows(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """List the pixels of each cell: (width, target) indices and (width, target, 1) weights.

    Cells with fewer pixels than the widest repeat their last one with weight 0.
    """
    weights = area_weights(source, target)
    first = (weights > 0).argmax(axis=1)
    count = (weights > 0).sum(axis=1)
    steps = np.arange(count.max())[:, None]
    indices = first + np.minimum(steps, count - 1)
    shares = np.where(steps < count, np.take_along_axis(weights, indices.T, axis=1).T, 0)
    return indices, shares[:, :, None].astype(np.float32)
