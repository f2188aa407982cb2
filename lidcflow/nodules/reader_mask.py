"""The readers' outlines of a nodule as a mask on the voxels of a cube: what a segmenter learns, and is held against."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.match import Images
from lidcflow.labels.readings import MarkedSlice, Nodule, Reading
from lidcflow.nodules.outline_points import enclosed

Place = tuple[float, float, float]
"""Centre of a cube: z in mm, row and column of the image."""


def reader_mask(
    nodule: Nodule, images: Images, place: Place, voxel_mm: float, pixel_mm: tuple[float, float], *, side: int
) -> NDArray[np.bool_] | None:
    """Return the voxels of a cube that at least half of a nodule's readers outlined.

    Parameters
    ----------
    nodule : Nodule
        With its readings.
    images : Images
        The source slices of its series: an outline holds from half a slice spacing above its image to half below.
    place : tuple of 3 floats
        Centre of the cube, which lies between the two middle voxels along each axis.
    voxel_mm : float
        Side of a voxel.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns of the images.
    side : int
        Voxels along each axis of the cube.

    Returns
    -------
    (side, side, side) array of bool, or None
        From the top of the chest down, towards the back, towards the patient's left. None where a reading has no
        outline: nobody knows what the reader took for the nodule.
    """
    if not nodule.readings or not all(reading.is_outlined for reading in nodule.readings):
        return None
    offsets_mm = np.asarray((np.arange(side) - (side - 1) / 2) * voxel_mm, np.float64)
    z_mm, pixels = place[0] - offsets_mm, _pixels(place[1:], offsets_mm, pixel_mm)
    nearest = np.abs(images.z_mm[:, None] - z_mm).argmin(axis=0)
    reaches = np.abs(images.z_mm[nearest] - z_mm) <= images.h_mm
    votes = np.zeros((side, side, side), np.intp)
    for reading in nodule.readings:
        areas = _areas(reading, pixels, side)
        for plane in np.flatnonzero(reaches):
            votes[plane] += areas.get(_key(float(images.z_mm[nearest[plane]])), False)
    return np.asarray(2 * votes >= len(nodule.readings))


def _pixels(
    place: tuple[float, float], offsets_mm: NDArray[np.float64], pixel_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the (row, column) of each voxel of a plane."""
    down, across = (middle + offsets_mm / mm for middle, mm in zip(place, pixel_mm, strict=True))
    return np.stack(np.meshgrid(down, across, indexing="ij"), axis=-1).reshape(-1, 2)


def _areas(reading: Reading, pixels: NDArray[np.float64], side: int) -> dict[int, NDArray[np.bool_]]:
    """Return what a reader outlined by the height of the image, holes left out."""
    by_height: dict[int, list[MarkedSlice]] = defaultdict(list)
    for mark in reading.marks:
        by_height[_key(mark.z_mm or 0.0)].append(mark)
    return {height: _area(marks, pixels).reshape(side, side) for height, marks in by_height.items()}


def _area(marks: list[MarkedSlice], pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside, hole = np.zeros(len(pixels), bool), np.zeros(len(pixels), bool)
    for mark in marks:
        if mark.inclusion:
            inside |= enclosed(pixels, mark.points)
        else:
            hole |= enclosed(pixels, mark.points)
    return inside & ~hole


def _key(z_mm: float) -> int:
    """Return a height in hundredths of a millimetre: positions are written with two decimals or more."""
    return round(100 * z_mm)
