"""Draw nodules into slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.phantom.capsules import capsule_cover
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.lesions import Lesion, Outline, Patch, Tissue

SOFT_TISSUE_HU = -300.0
LIFT_HU = 110.0
"""Contrast of a nodule with soft tissue, where the modelled lung missed it."""

Place = tuple[NDArray[np.float64], NDArray[np.float64], float]
"""x of each column, y of each row, and depth, in mm."""


def paint_lesion(hu: NDArray[np.float32], lesion: Lesion, grid: Grid, depth_mm: float, thickness_mm: float) -> None:
    """Draw a nodule into one slice, in place.

    Parameters
    ----------
    hu : (size, size) array of float32
        The slice without noise.
    lesion : Lesion
        What to draw.
    grid : Grid
        The slice's pixels.
    depth_mm, thickness_mm : float
        The slice's middle and thickness.
    """
    if len(lesion.look.spicules):
        _paint_spicules(hu, lesion.look, grid, depth_mm, thickness_mm)
    patch = lesion.outline.patch(grid, depth_mm)
    if patch is None:
        return
    image, part = _overlap(patch, grid.size)
    if not part.inside_mm.size:
        return
    below = hu[image]
    cover = _cover(part, lesion.look, grid)
    target = _target(part, lesion, grid, depth_mm)
    fading = np.float32(lesion.look.contrast) * (target - below)
    lifted = np.where(below > SOFT_TISSUE_HU, np.maximum(fading, np.float32(LIFT_HU)), fading)
    hu[image] = below + cover * (lifted if lesion.look.core_hu > SOFT_TISSUE_HU else fading)


def _paint_spicules(hu: NDArray[np.float32], look: Tissue, grid: Grid, depth_mm: float, thickness_mm: float) -> None:
    pixels, cover = capsule_cover(look.spicules, grid, depth_mm, thickness_mm)
    below = hu.ravel()[pixels]
    rise = np.maximum(np.float32(look.hu) - below, np.float32(0))
    hu.ravel()[pixels] = below + cover * rise * np.float32(0.9 * look.contrast)


def _overlap(patch: Patch, size: int) -> tuple[tuple[slice, slice], Patch]:
    """Cut a patch to the image."""
    rows, columns = patch.inside_mm.shape
    top, left = max(0, -patch.row), max(0, -patch.column)
    bottom, right = min(rows, size - patch.row), min(columns, size - patch.column)
    part = patch.inside_mm[top : max(bottom, top), left : max(right, left)]
    image = (
        slice(patch.row + top, patch.row + top + part.shape[0]),
        slice(patch.column + left, patch.column + left + part.shape[1]),
    )
    return image, patch._replace(row=patch.row + top, column=patch.column + left, inside_mm=part)


def _cover(part: Patch, look: Tissue, grid: Grid) -> NDArray[np.float32]:
    deepest = float(part.inside_mm.max())
    edge = np.float32(max(min(look.edge_mm, 1.2 * max(deepest, 0.5)), 0.9, grid.spacing_mm))
    share = np.clip(part.inside_mm / edge + np.float32(0.5), np.float32(0), np.float32(1))
    return np.asarray(share * np.float32(part.opacity))


def _target(part: Patch, lesion: Lesion, grid: Grid, depth_mm: float) -> NDArray[np.float32]:
    """Density of the nodule's inside, pixel by pixel."""
    look, radius = lesion.look, lesion.outline.radius_mm
    rows, columns = part.inside_mm.shape
    x = grid.position(np.arange(part.column, part.column + columns))[None, :]
    y = grid.position(np.arange(part.row, part.row + rows))[:, None]
    grain = look.grain.at(x, y, depth_mm)
    hu = look.hu + (45.0 if look.hu < SOFT_TISSUE_HU else 14.0) * grain
    depth = part.inside_mm / max(radius, 1.0)
    if look.core:
        hu = hu + np.clip((depth - (1.0 - look.core)) * 5.0 + 0.6 * grain, 0, 1) * (look.core_hu - hu)
    return np.asarray(hu + look.calcium_hu * _calcium(look, lesion.outline, (x, y, depth_mm), depth, grain), np.float32)


def _calcium(
    look: Tissue,
    outline: Outline,
    place: Place,
    depth: NDArray[np.float32],
    grain: NDArray[np.floating],
) -> NDArray[np.floating] | float:
    """Share of calcium, 0 to 1, in the pattern that the readers named."""
    centre, radius = outline.centre_mm, outline.radius_mm
    x, y, z = place[0] - centre[0], place[1] - centre[1], place[2] - centre[2]
    if look.calcification == 1:
        return np.asarray(np.clip(2.5 * grain, 0, 1))
    if look.calcification == 2:
        return np.asarray(np.clip(1.5 - 6.0 * np.abs(depth - 0.45), 0, 1))
    if look.calcification == 3:
        return 1.0
    if look.calcification in (4, 5):
        off = 0.0 if look.calcification == 5 else 0.45 * radius
        gap = np.sqrt((x - off) ** 2 + y**2 + z**2)
        return np.asarray(np.clip(1.5 - 2.4 * gap / max(radius, 1.0), 0, 1))
    return 0.0
