"""Cut patches around candidates: three planes at two widths, in HU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.grid import Scan
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from lidcflow.pixels.hounsfield import AIR_HU

_AXES = ((1, 2), (0, 2), (0, 1))


_SAMPLES = PATCH_PIXELS * 2
"""Points along a side: a pixel of a narrow patch is the point in its middle, a pixel of a wide one of 2 x 2."""

_OFFSETS_MM = np.asarray((np.arange(_SAMPLES) - (_SAMPLES - 1) / 2) * PATCH_PIXEL_MM[0], np.float64)
"""Offsets of the sampled points from the centre, `PATCH_PIXEL_MM` apart."""


class Points(NamedTuple):
    """The two voxels about each point along an axis, and their weights; 0 for what is not in the scan."""

    voxels: tuple[NDArray[np.intp], NDArray[np.intp]]
    weights: tuple[NDArray[np.float32], NDArray[np.float32]]


def cut_patches(scan: Scan, places: NDArray[np.float64]) -> NDArray[np.int16]:
    """Cut the patches of candidates.

    Points between voxels are interpolated linearly along each axis; what lies outside of the scan is air.

    Parameters
    ----------
    scan : Scan
        At its own resolution.
    places : (n, 3) array of float
        Indices of slice, row and column in the scan; fractions lie between voxels.

    Returns
    -------
    (n, 2, 3, 48, 48) array of int16
        HU of the narrow and of the wide patches (`PATCH_PIXEL_MM`), each in the three planes of `PLANES`. Slices
        run down from the head, rows and columns as in the image. A place is the corner of the four middle pixels.
    """
    patches = np.empty((len(places), len(PATCH_PIXEL_MM), len(PLANES), PATCH_PIXELS, PATCH_PIXELS), np.int16)
    for patch, place in zip(patches, places, strict=True):
        along = [points_along(scan, axis, float(index), _OFFSETS_MM) for axis, index in enumerate(place)]
        middle = [_middle(scan, axis, float(index)) for axis, index in enumerate(place)]
        for plane, axes in enumerate(_AXES):
            patch[:, plane] = _two_widths(_plane(scan.hu, axes, along, middle))
    return patches


def points_along(scan: Scan, axis: int, index: float, offsets_mm: NDArray[np.float64]) -> Points:
    """Spread points about a place.

    Parameters
    ----------
    scan : Scan
        At its own resolution; its slices may be unevenly apart.
    axis : int
        0 along slices, downwards; 1 along rows, 2 along columns.
    index : float
        Of the place on that axis.
    offsets_mm : (points,) array of float64
        Of each point from the place.
    """
    if axis:
        return _between(np.asarray(index + offsets_mm / scan.voxel_mm[axis], np.float64), scan.hu.shape[axis])
    return _between(scan.slice_index(scan.z_at(index) - offsets_mm), scan.hu.shape[axis])


def _middle(scan: Scan, axis: int, index: float) -> Points:
    return _between(np.array([index]), scan.hu.shape[axis])


def _between(index: NDArray[np.float64], n: int) -> Points:
    below = np.floor(index).astype(np.intp)
    share = (index - below).astype(np.float32)
    voxels, weights = (below, below + 1), (1 - share, share)
    inside = [(one >= 0) & (one < n) for one in voxels]
    return Points(
        (voxels[0].clip(0, n - 1), voxels[1].clip(0, n - 1)), (weights[0] * inside[0], weights[1] * inside[1])
    )


def _plane(
    hu: NDArray[np.int16], axes: tuple[int, int], along: Sequence[Points], middle: Sequence[Points]
) -> NDArray[np.float32]:
    """Interpolate one plane, HU above air: across it first, then its rows, then its columns."""
    down, right = (along[axis] for axis in axes)
    across = 3 - sum(axes)
    box = [slice(int(points.voxels[0][0]), int(points.voxels[1][-1]) + 1) for points in along]
    plane = np.zeros((1, 1), np.float32)
    for voxel, weight in zip(middle[across].voxels, middle[across].weights, strict=True):
        box[across] = slice(int(voxel[0]), int(voxel[0]) + 1)
        plane = plane + (hu[tuple(box)].squeeze(across).astype(np.float32) - AIR_HU) * weight
    rows = interpolated(plane, down)
    return interpolated(rows.T, right).T


def interpolated(plane: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Interpolate along the first axis of a plane, whose first row is the first voxel of the points."""
    first = points.voxels[0][0]
    near, far = (plane[voxels - first] for voxels in points.voxels)
    between: NDArray[np.float32] = near * points.weights[0][:, None] + far * points.weights[1][:, None]
    return between


def _two_widths(points: NDArray[np.float32]) -> NDArray[np.int16]:
    """Take the middle of the points as the narrow patch, and the means of four of them as the wide one."""
    quarter = PATCH_PIXELS // 2
    narrow = points[quarter:-quarter, quarter:-quarter]
    pairs = points[::2] + points[1::2]
    wide = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    return np.asarray(np.rint(np.stack([narrow, wide])) + AIR_HU, np.int16)
