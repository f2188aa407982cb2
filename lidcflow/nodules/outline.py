"""The outline of a nodule in a cube: its mask, its axes and its volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from lidcflow.nodules.axes import axes_mm

INSIDE = 0.5
"""P(inside the nodule) from which a voxel is."""

NEAR_MM = 5.0
"""A part whose nearest voxel is farther than this from the middle of the cube is not the nodule that it was cut for."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The voxels inside a nodule, and its sizes.

    Parameters
    ----------
    mask : (slices, rows, columns) array of bool
        The connected part at the middle of the cube, its holes closed.
    middle : int
        The cube's slice with the largest area, which the axes are measured in.
    contour_mm : (k, 2) array of float64
        Closed polygon in that slice, offsets down and right from the middle of the cube; the last corner is the first.
    long_axis_mm, short_axis_mm : float
        The longest diameter in that slice, and the longest one perpendicular to it.
    volume_mm3 : float
        Of the mask.
    cut : bool
        Whether it reaches a face of the cube: its sizes are at least these.
    """

    mask: NDArray[np.bool_]
    middle: int
    contour_mm: NDArray[np.float64]
    long_axis_mm: float
    short_axis_mm: float
    volume_mm3: float
    cut: bool


def outline_of(probability: NDArray[np.floating], voxel_mm: float) -> Outline | None:
    """Return the outline of the nodule in the middle of a cube.

    Parameters
    ----------
    probability : (n, n, n) array of float
        P(inside the nodule) of each voxel: slices, rows, columns. The middle lies between the two middle voxels.
    voxel_mm : float
        Edge of a voxel.

    Returns
    -------
    Outline, or None
        None where nothing at the middle is inside, and where what is inside reaches from a face of the cube to the
        opposite one.

    Examples
    --------
    >>> inside = np.zeros((8, 8, 8))
    >>> inside[2:6, 3:5, 3:5] = 1
    >>> round(outline_of(inside, 2.0).volume_mm3)
    128
    """
    mask = _part_at_the_middle(np.asarray(probability) >= INSIDE, voxel_mm)
    if mask is None or _spans(mask):
        return None
    middle = _largest_slice(np.asarray(probability), mask)
    contour_mm = _contour_mm(np.asarray(probability[middle], np.float64), mask[middle], voxel_mm)
    long_mm, short_mm = axes_mm(contour_mm)
    return Outline(
        mask, middle, contour_mm, long_mm, short_mm, float(mask.sum()) * voxel_mm**3, bool(_faces(mask).any())
    )


def _part_at_the_middle(inside: NDArray[np.bool_], voxel_mm: float) -> NDArray[np.bool_] | None:
    """Return the connected part that is nearest to the middle."""
    parts, n = ndimage.label(inside)
    if not n:
        return None
    offsets = [np.arange(size) - (size - 1) / 2 for size in inside.shape]
    squared = sum(axis**2 for axis in np.meshgrid(*offsets, indexing="ij", sparse=True))
    far = np.where(inside, squared, np.inf)
    nearest = int(far.argmin())
    if np.sqrt(far.flat[nearest]) * voxel_mm > NEAR_MM:
        return None
    part: NDArray[np.bool_] = ndimage.binary_fill_holes(parts == parts.flat[nearest])
    return part


def _faces(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each face of the cube is reached: the first and the last of each axis."""
    ends = [(np.take(mask, 0, axis).any(), np.take(mask, -1, axis).any()) for axis in range(mask.ndim)]
    return np.array(ends, np.bool_)


def _spans(mask: NDArray[np.bool_]) -> bool:
    return bool(_faces(mask).all(axis=1).any())


def _largest_slice(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> int:
    """Return the slice of the largest area, by P where as many voxels are inside; the middle one of equal slices."""
    voxels = mask.sum(axis=(1, 2))
    largest = np.flatnonzero(voxels == voxels.max())
    areas = np.sum(probability[largest] * mask[largest], axis=(1, 2), dtype=np.float64).round(3)
    equal = largest[areas == areas.max()]
    return int(equal[len(equal) // 2])


def _contour_mm(probability: NDArray[np.float64], mask: NDArray[np.bool_], voxel_mm: float) -> NDArray[np.float64]:
    """Return the outer contour of the largest part of a mask, between the voxels where P passes `INSIDE`."""
    parts, n = ndimage.label(mask)
    largest = parts == 1 + int(np.argmax(ndimage.sum_labels(mask, parts, np.arange(1, n + 1))))
    within = ndimage.binary_fill_holes(largest)
    above = np.where(within, np.maximum(probability, INSIDE + _JUST), np.minimum(probability, INSIDE - _JUST))
    contours = find_contours(np.pad(above, 1), INSIDE, fully_connected="low")
    outer = max(contours, key=_area)
    return np.asarray((outer - 1 - (np.array(mask.shape) - 1) / 2) * voxel_mm, np.float64)


_JUST = 1e-3
"""Margin by which values inside exceed the level of the outline, and values outside stay below it."""


def _area(contour: NDArray[np.float64]) -> float:
    down, right = contour.T
    return float(abs(np.sum(down[:-1] * right[1:] - down[1:] * right[:-1])) / 2)
