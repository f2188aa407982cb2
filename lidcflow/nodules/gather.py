"""Collect the slices of a series while they are read for its volume, and find its candidates after the last one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.records import Series
from lidcflow.nodules.grid import Scan
from lidcflow.pixels.hounsfield import AIR_HU

FINEST_MM = 0.6
"""Slices and pixels that lie closer are averaged: candidates and their patches need none of that."""

MOST_BYTES = 280 * 2**20
"""Most memory for a scan: 560 slices of 512 x 512; of longer scans, neighbouring slices are averaged."""


class ScanGatherer:
    """Keeps the slices of a series at its own resolution; `add` takes them as they are read.

    Parameters
    ----------
    series : Series
        The series.
    """

    def __init__(self, series: Series) -> None:
        self._z_mm = np.array([source.z_mm for source in series.slices])
        self._pixel_mm = (series.row_spacing_mm, series.column_spacing_mm)
        rows, columns = series.rows, series.columns
        self._factor = tuple(_factor(mm, n) for mm, n in zip(self._pixel_mm, (rows, columns), strict=True))
        shape = rows // self._factor[0], columns // self._factor[1]
        least = _factor(series.slice_spacing_mm, len(series.slices))
        self._group = max(least, -(-len(series.slices) * shape[0] * shape[1] * 2 // MOST_BYTES))
        self._hu = np.full((-(-len(series.slices) // self._group), *shape), AIR_HU, np.int16)
        self._added = np.zeros(len(self._hu), np.intp)

    def add(self, index: int, hu: NDArray[np.int16]) -> None:
        """Take a slice.

        Parameters
        ----------
        index : int
            Its number, from 0 at the top.
        hu : (rows, columns) array of int16
            HU; copied.
        """
        k = index // self._group
        plane, kept = self._coarse(hu), self._added[k]
        if kept:
            plane = np.rint((self._hu[k].astype(np.float32) * kept + plane) / (kept + 1)).astype(np.int16)
        self._hu[k] = plane
        self._added[k] += 1

    def _coarse(self, hu: NDArray[np.int16]) -> NDArray[np.int16]:
        down, across = self._factor
        if (down, across) == (1, 1):
            return hu
        _, rows, columns = self._hu.shape
        blocks = hu[: rows * down, : columns * across].reshape(rows, down, columns, across)
        return np.asarray(np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)), np.int16)

    def scan(self) -> Scan | None:
        """Return the slices that were added, from the first to the last of them; None where there are fewer than 2."""
        there = np.flatnonzero(self._added)
        if len(there) < 2:
            return None
        first, last = int(there[0]), int(there[-1]) + 1
        z_mm = [self._z_mm[k * self._group : (k + 1) * self._group].mean() for k in range(first, last)]
        pixel_mm = (self._pixel_mm[0] * self._factor[0], self._pixel_mm[1] * self._factor[1])
        step = (self._group, *self._factor)
        return Scan(self._hu[first:last], np.array(z_mm), pixel_mm, step=step, first=first * self._group)


def _factor(mm: float, n: int) -> int:
    """Return how many neighbours are averaged along an axis of `n`."""
    return max(1, min(n, int(FINEST_MM / mm + 1e-6)))
