"""Inputs of malignancy systems: parts of a nodule's cube, its QIF and its size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.nodules.malignancy_features import quantitative_features
from lidcflow.nodules.nodule_plane import PIXEL_MM, plane_of
from lidcflow.nodules.outline import Outline
from lidcflow.pixels.hounsfield import AIR_HU

Floats = NDArray[np.float64]

BLOCK = (5, 21, 21)
"""Slices, rows and columns of the block that NoduleX sees, at 0.75 mm."""

AXIAL, CORONAL, SAGITTAL = range(3)


@dataclass(frozen=True, eq=False)
class NoduleViews:
    """Views of nodules, some 25 kB each; their cubes are let go.

    Attributes
    ----------
    image : (n, 48, 48) array of int16
        HU of the slice that is read, as stored.
    voxel_mm : (n,) array of float64
        Distance of its pixels.
    planes : (n, 3, 48, 48) array of int16
        HU of the axial plane at that slice and of the coronal and sagittal one through the middle, at 0.75 mm.
    block : (n, 5, 21, 21) array of int16
        HU around the middle of that slice, at 0.75 mm.
    qif : (n, 40) array of float64
        From `lidcflow.nodules.malignancy_features.quantitative_features`.
    size_mm : (n,) array of float64
        Long axis of the outline; without one, the diameter of the mask in the axial plane.
    """

    image: NDArray[np.int16]
    voxel_mm: Floats
    planes: NDArray[np.int16]
    block: NDArray[np.int16]
    qif: Floats
    size_mm: Floats

    def __len__(self) -> int:
        return len(self.image)

    def take(self, places: NDArray[np.generic]) -> NoduleViews:
        """Return the views of some nodules, by places or flags."""
        return NoduleViews(*(getattr(self, field.name)[places] for field in fields(self)))


def views_of(cube: NDArray[np.integer], voxel_mm: float, outline: Outline | None) -> NoduleViews:
    """Return the views of the nodule in the middle of a cube.

    Parameters
    ----------
    cube : (n, n, n) array of int
        HU: slices, rows, columns.
    voxel_mm : float
        Edge of a voxel.
    outline : Outline, optional
        Names the slice that is read, and the size; without it, the middle slice is read.
    """
    middle = len(cube) // 2
    at = middle if outline is None else outline.middle
    planes = np.stack([plane_of(one, voxel_mm) for one in (cube[at], cube[:, middle], cube[:, :, middle])])
    qif, diameter_mm = quantitative_features(planes[:1])
    return NoduleViews(
        image=_whole(cube[at])[None],
        voxel_mm=np.array([voxel_mm]),
        planes=_whole(planes)[None],
        block=_block(cube, voxel_mm, at)[None],
        qif=qif,
        size_mm=diameter_mm if outline is None else np.array([outline.long_axis_mm]),
    )


def views_of_slices(images: Sequence[NDArray[np.integer]], pixel_mm: NDArray[np.floating]) -> NoduleViews:
    """Return the views of nodules of which one axial image is known: other planes and blocks are air.

    Parameters
    ----------
    images : (n,) sequence of (rows, columns) arrays of int
        HU, all of one size, the nodule in the middle.
    pixel_mm : (n,) array
        Distances of their pixels.
    """
    axial = np.stack([plane_of(image, float(mm)) for image, mm in zip(images, pixel_mm, strict=True)])
    planes = np.full((len(axial), 3, *axial.shape[1:]), AIR_HU, np.int16)
    planes[:, AXIAL] = _whole(axial)
    qif, diameter_mm = quantitative_features(axial)
    block = np.full((len(axial), *BLOCK), AIR_HU, np.int16)
    whole = np.stack([np.asarray(image, np.int16) for image in images])
    return NoduleViews(whole, np.asarray(pixel_mm, np.float64), planes, block, qif, diameter_mm)


def _block(cube: NDArray[np.integer], voxel_mm: float, at: int) -> NDArray[np.int16]:
    """Return the block around a slice, whose middle is the voxel below and right of the middle of a narrow cube."""
    steps = [(np.arange(side) - side // 2) * (PIXEL_MM / voxel_mm) for side in BLOCK]
    middle = (len(cube) - 1) / 2 + PIXEL_MM / 2 / voxel_mm
    grid = np.meshgrid(at + steps[0], middle + steps[1], middle + steps[2], indexing="ij")
    return _whole(ndimage.map_coordinates(cube.astype(np.float32), grid, order=1, mode="nearest"))


def _whole(hu: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.int16]:
    return np.asarray(np.round(hu), np.int16)


def joined(parts: Iterable[NoduleViews]) -> NoduleViews:
    """Return the views of several as one, in order.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = list(parts)
    return NoduleViews(*(np.concatenate([getattr(one, field.name) for one in found]) for field in fields(NoduleViews)))


def trusted(outline: Outline | None, voxel_mm: float) -> Outline | None:
    """Return an outline that an answer shows; None for one that is smaller than a voxel or cut by the cube.

    Parameters
    ----------
    outline : Outline, optional
        From `lidcflow.nodules.outline.outline_of`.
    voxel_mm : float
        Edge of a voxel.
    """
    return None if outline is None or outline.cut or outline.long_axis_mm < voxel_mm else outline
