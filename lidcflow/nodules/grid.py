"""The grids of a scan that candidates are looked for on, and cut from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lidcflow.volume.resample import window_mean

VOXEL_MM = 1.4
"""Voxels that candidates are looked for on: a nodule of 3 mm is two of them, and a chest some ten million."""

EXACT_SUMS = 32
"""Values of `TISSUE_HU` whose sum still fits 16 bits."""

TISSUE_HU = (-1000, 200)
"""Bone and metal count as soft tissue: a rib is no brighter than a nodule."""


@dataclass(frozen=True)
class Scan:
    """The voxels of a series.

    Parameters
    ----------
    hu : (slices, rows, columns) array of int16
        HU, top of the chest first.
    z_mm : (slices,) array of float64
        Position of each slice, descending.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns.
    step : tuple of 3 ints
        Slices, rows and columns of the source in one of the scan.
    first : int
        Source slice that the scan begins with.
    """

    hu: NDArray[np.int16]
    z_mm: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    step: tuple[int, ...] = (1, 1, 1)
    first: int = 0

    @cached_property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Distance of slices (the median), rows and columns."""
        spacing_mm = float(np.median(-np.diff(self.z_mm))) if len(self.z_mm) > 1 else 1.0
        return (spacing_mm, *self.pixel_mm)

    def source_index(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where in the source places of the scan are, both as (n, 3) indices of slice, row and column."""
        return (places + 0.5) * self.step - 0.5 + (self.first, 0, 0)

    def z_at(self, index: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return z in mm at fractions of slice indices, beyond the first and the last slice too."""
        n = len(self.z_mm)
        inside = np.interp(index, np.arange(n), self.z_mm)
        return np.asarray(inside - (index - np.clip(index, 0, n - 1)) * self.voxel_mm[0])

    def slice_index(self, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fractions of slice indices at places along z, the reverse of `z_at`."""
        inside = np.interp(-z_mm, -self.z_mm, np.arange(len(self.z_mm)))
        beyond_mm = np.clip(z_mm, self.z_mm[-1], self.z_mm[0]) - z_mm
        return np.asarray(inside + beyond_mm / self.voxel_mm[0])


@dataclass(frozen=True)
class WorkGrid:
    """A scan at about `VOXEL_MM`.

    Parameters
    ----------
    hu : (slices, rows, columns) array of float32
        Mean HU of each voxel, cut to `TISSUE_HU`.
    voxel_mm : (3,) array of float64
        Distance of slices, rows and columns.
    shrink : (3,) array of float64
        Voxels of the scan in one of the grid, along each axis.
    """

    hu: NDArray[np.float32]
    voxel_mm: NDArray[np.float64]
    shrink: NDArray[np.float64]

    def scan_index(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where in the scan places of the grid are, both as (n, 3) indices of slice, row and column.

        Examples
        --------
        >>> grid = WorkGrid(np.zeros((4, 4, 4), np.float32), np.ones(3), np.array([1.0, 2.0, 2.0]))
        >>> grid.scan_index(np.array([[1.0, 0.0, 0.5]]))
        array([[1. , 0.5, 1.5]])
        """
        return (index + 0.5) * self.shrink - 0.5


def work_grid(scan: Scan) -> WorkGrid:
    """Average a scan to voxels of about `VOXEL_MM`, or its own where these are larger.

    Parameters
    ----------
    scan : Scan
        Slices at least 2, of any matrix.
    """
    slices, rows, columns = scan.hu.shape
    group = max(1, round(VOXEL_MM / scan.voxel_mm[0]))
    shape = tuple(_cells(n, mm) for n, mm in zip((rows, columns), scan.pixel_mm, strict=True))
    kept = max(1, slices // group)
    hu = np.empty((kept, *shape), np.float32)
    for k in range(kept):
        planes = scan.hu[k * group : (k + 1) * group]
        np.mean([_area_mean(plane, shape) for plane in planes], axis=0, out=hu[k])
    shrink = np.array([min(group, slices), rows / shape[0], columns / shape[1]])
    return WorkGrid(hu, np.array(scan.voxel_mm) * shrink, shrink)


def _cells(pixels: int, pixel_mm: float) -> int:
    """Return the cells along an axis: a whole number of pixels each, about `VOXEL_MM`."""
    factor = max(1, round(VOXEL_MM / pixel_mm))
    if pixels % factor == 0 and 0.8 < factor * pixel_mm / VOXEL_MM < 1.2:
        return pixels // factor
    return min(pixels, max(1, round(pixels * pixel_mm / VOXEL_MM)))


def _area_mean(plane: NDArray[np.int16], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Average a slice over cells, its values cut before."""
    cut = np.clip(plane, *TISSUE_HU)
    rows, columns = cut.shape
    down, across = rows // shape[0], columns // shape[1]
    if (down * shape[0], across * shape[1]) == (rows, columns):
        return _block_mean(cut if down * across <= EXACT_SUMS else cut.astype(np.int32), down, across)
    return window_mean(np.ascontiguousarray(window_mean(cut, shape[0]).T), shape[1]).T


def _block_mean(plane: NDArray[np.integer], down: int, across: int) -> NDArray[np.float32]:
    """Average blocks of whole pixels."""
    rows = plane[::down].copy()
    for i in range(1, down):
        rows += plane[i::down]
    cells = rows[:, ::across].copy()
    for i in range(1, across):
        cells += rows[:, i::across]
    return cells * np.float32(1 / (down * across))
