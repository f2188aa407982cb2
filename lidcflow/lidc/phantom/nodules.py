"""How a nodule looks: density, edge, calcification and spicules that follow its mean ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.lidc.phantom.capsules import Capsules, capsule_cover, no_capsules
from lidcflow.lidc.phantom.grid import Grid
from lidcflow.lidc.phantom.shapes import Waves, random_waves

SOFT_TISSUE_HU = -300.0
LIFT_HU = 110.0
"""How far a nodule stands out of soft tissue, where the modelled lung missed it."""


class MeanRatings(NamedTuple):
    """Ratings averaged over a nodule's readers; calcification and internal structure are their median."""

    subtlety: float
    internal_structure: float
    calcification: float
    margin: float
    lobulation: float
    spiculation: float
    texture: float


class Patch(NamedTuple):
    """A nodule in one slice.

    Attributes
    ----------
    row, column : int
        Pixel of the patch's first corner; may lie outside of the image.
    inside_mm : (rows, columns) array
        Distance to the outline, positive inside.
    opacity : float
        Share of the slice that the nodule fills, 0 to 1.
    """

    row: int
    column: int
    inside_mm: NDArray[np.float32]
    opacity: float


class Outline(Protocol):
    """Where a nodule lies."""

    centre_mm: tuple[float, float, float]
    radius_mm: float

    def patch(self, grid: Grid, depth_mm: float) -> Patch | None:
        """Return the nodule's part of a slice, if there is any."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a nodule is made of.

    Attributes
    ----------
    hu, core_hu : float
        Density of the whole, and of the solid core (the inner part) if there is one.
    core : float
        Share of the radius that the core takes, 0 to 1.
    contrast : float
        Below 1 the nodule fades into what is around it.
    edge_mm : float
        Width that its margin is blurred over.
    calcium_hu : float
        What calcium adds.
    calcification : int
        1 popcorn, 2 laminated, 3 solid, 4 non-central, 5 central, 6 absent.
    grain : Waves
        Unevenness of its inside.
    spicules : Capsules
        Strands that reach into the lung.
    """

    hu: float
    core_hu: float
    core: float
    contrast: float
    edge_mm: float
    calcium_hu: float
    calcification: int
    grain: Waves
    spicules: Capsules


@dataclass(frozen=True, eq=False)
class Lesion:
    """A nodule: where and how."""

    outline: Outline
    look: Look


def look_of(ratings: MeanRatings, outline: Outline, rng: Generator) -> Look:
    """Translate ratings to densities and shapes; two nodules rated alike still differ a little."""
    hu = float(np.interp(ratings.texture, (1, 2, 3, 4, 5), (-640, -540, -400, -90, 28))) + rng.normal(0, 22)
    mixed = 1.6 < ratings.texture < 4.4
    inside = {2: 4.0, 3: -75.0, 4: -850.0}.get(round(ratings.internal_structure))
    return Look(
        hu=hu,
        core_hu=inside if inside is not None else float(rng.normal(15, 20)),
        core=float(rng.uniform(0.45, 0.7)) if inside is not None or mixed else 0.0,
        contrast=float(np.interp(ratings.subtlety, (1, 3, 5), (0.48, 0.8, 1.0))),
        edge_mm=float(np.interp(ratings.margin, (1, 3, 5), (4.2, 2.2, 1.1))),
        calcium_hu=float(rng.uniform(350, 900)),
        calcification=round(ratings.calcification),
        grain=random_waves(rng, 3.0, 12.0),
        spicules=_spicules(ratings.spiculation, outline, rng),
    )


def _spicules(spiculation: float, outline: Outline, rng: Generator) -> Capsules:
    """Strands from within the nodule to some way out of it, more and longer with the rating."""
    number = int(rng.poisson(max(0.0, spiculation - 1.0) * 5.0))
    if not number:
        return no_capsules()
    directions = rng.normal(size=(number, 3))
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    reach = outline.radius_mm * rng.uniform(1.2, 1.5 + 0.22 * spiculation, size=(number, 1)) + 1.5
    centre = np.array(outline.centre_mm)
    starts, ends = centre + directions * outline.radius_mm * 0.5, centre + directions * reach
    return Capsules(starts, ends, rng.uniform(0.6, 1.0, number), rng.uniform(0.2, 0.4, number))


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


def _paint_spicules(hu: NDArray[np.float32], look: Look, grid: Grid, depth_mm: float, thickness_mm: float) -> None:
    cover = capsule_cover(look.spicules, grid, depth_mm, thickness_mm)
    rise = np.maximum(np.float32(look.hu) - hu, np.float32(0))
    hu += cover * rise * np.float32(0.9 * look.contrast)


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


def _cover(part: Patch, look: Look, grid: Grid) -> NDArray[np.float32]:
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
    look: Look,
    outline: Outline,
    place: tuple[NDArray[np.float64], NDArray[np.float64], float],
    depth: NDArray[np.float32],
    grain: NDArray[np.floating],
) -> NDArray[np.floating] | float:
    """Share of calcium, 0 to 1, in the pattern that the readers named."""
    x, y, z = (p - c for p, c in zip(place, outline.centre_mm, strict=True))
    radius = outline.radius_mm
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
