"""Reduce one slice in the plane: area mean and maximum of the pixels that a cell covers."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.ct.decode import AIR_HU, HIGHEST_HU
from lidcflow.ct.resample import area_weights

Integer = TypeVar("Integer", np.int16, np.int32)

EXACT_SUMS = np.iinfo(np.uint16).max // (HIGHEST_HU - AIR_HU)
"""Values in HU, counted from air, whose sum still fits 16 bits: a block of 4 x 4."""


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
    mean = _window_mean(np.ascontiguousarray(_window_mean(hu, size).T), size)
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


def _window_mean(plane: NDArray[np.int16] | NDArray[np.float32], size: int) -> NDArray[np.float32]:
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
