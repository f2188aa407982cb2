"""Cut cubes around candidates: voxels of one size, in HU, that outlines and malignancy are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.grid import Scan
from lidcflow.nodules.patches import Points, interpolated, points_along
from lidcflow.pixels.hounsfield import AIR_HU

CUBE_VOXELS = 48
"""Voxels along each side of a cube."""

CUBE_MM = (0.75, 1.5)
"""Voxels of the cubes of small and of large candidates, which are 36 and 72 mm wide."""

WIDE_FROM_MM = 22.0
"""Diameter from which a candidate gets the larger voxels."""

MOST_CUBES = 40
"""Candidates of a series that get a cube: four times as many as it can have findings."""


@dataclass(frozen=True, eq=False)
class Cubes:
    """Cubes around candidates.

    Parameters
    ----------
    hu : (n, 48, 48, 48) array of int16
        Slices run down from the head, rows and columns as in the image.
    candidates : (n,) array of int
        The row of each in the table of candidates.
    voxel_mm : (n,) array of float64
        Edge of the voxels of each, one of `CUBE_MM`.
    """

    hu: NDArray[np.int16]
    candidates: NDArray[np.intp]
    voxel_mm: NDArray[np.float64]

    def of(self, candidate: int) -> tuple[NDArray[np.int16], float] | None:
        """Return the cube of a candidate and the edge of its voxels in mm; None where it has none."""
        at = np.flatnonzero(self.candidates == candidate)
        return (self.hu[at[0]], float(self.voxel_mm[at[0]])) if len(at) else None


NO_CUBES = Cubes(np.empty((0, *[CUBE_VOXELS] * 3), np.int16), np.empty(0, np.intp), np.empty(0))


def cut_cubes(
    scan: Scan, places: NDArray[np.float64], diameter_mm: NDArray[np.floating], probability: NDArray[np.floating]
) -> Cubes:
    """Cut the cubes of the candidates with the highest probabilities.

    Points between voxels are interpolated linearly along each axis; what lies outside of the scan is air.

    Parameters
    ----------
    scan : Scan
        At its own resolution.
    places : (n, 3) array of float
        Indices of slice, row and column in the scan; each becomes the corner of the eight middle voxels.
    diameter_mm, probability : (n,) arrays
        Extent and P(nodule) of each candidate.

    Returns
    -------
    Cubes
        Of `MOST_CUBES` candidates at most, in the order of the table.
    """
    chosen = np.sort(np.argsort(-np.asarray(probability), kind="stable")[:MOST_CUBES])
    voxel_mm = np.where(np.asarray(diameter_mm)[chosen] < WIDE_FROM_MM, *CUBE_MM).astype(np.float64)
    hu = np.empty((len(chosen), *[CUBE_VOXELS] * 3), np.int16)
    for cube, place, mm in zip(hu, places[chosen], voxel_mm.tolist(), strict=True):
        cube[:] = _cube(scan, place, mm)
    return Cubes(hu, chosen.astype(np.intp), voxel_mm)


def _cube(scan: Scan, place: NDArray[np.float64], voxel_mm: float) -> NDArray[np.int16]:
    """Interpolate a cube on the finer grid, and average the points in each coarser voxel."""
    n = CUBE_VOXELS * round(voxel_mm / CUBE_MM[0])
    offsets_mm = np.asarray((np.arange(n) - (n - 1) / 2) * CUBE_MM[0], np.float64)
    along = [points_along(scan, axis, float(index), offsets_mm) for axis, index in enumerate(place)]
    box = tuple(slice(int(points.voxels[0][0]), int(points.voxels[1][-1]) + 1) for points in along)
    cube = scan.hu[box].astype(np.float32) - AIR_HU
    for axis, points in enumerate(along):
        cube = _along(cube, points, axis)
    return np.asarray(np.rint(_means(cube)) + AIR_HU, np.int16)


def _along(cube: NDArray[np.float32], points: Points, axis: int) -> NDArray[np.float32]:
    moved = np.moveaxis(cube, axis, 0)
    flat = interpolated(moved.reshape(len(moved), -1), points)
    return np.moveaxis(flat.reshape(-1, *moved.shape[1:]), 0, axis)


def _means(cube: NDArray[np.float32]) -> NDArray[np.float32]:
    factor = len(cube) // CUBE_VOXELS
    if factor == 1:
        return cube
    blocks = cube.reshape([CUBE_VOXELS, factor] * 3)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)
