"""Appearance of a nodule: density, edge, calcification and spicules that follow its mean ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.capsules import Capsules, no_capsules
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.shapes import Waves, random_waves


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
    """Location of a nodule."""

    @property
    def centre_mm(self) -> tuple[float, float, float]:
        """Return x, y and depth in the scan."""

    @property
    def radius_mm(self) -> float:
        """Return the mean radius."""

    def patch(self, grid: Grid, depth_mm: float) -> Patch | None:
        """Return the nodule's part of a slice, if there is any."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """Composition of a nodule.

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
    look: Tissue


def tissue_of(ratings: MeanRatings, outline: Outline, rng: Generator) -> Tissue:
    """Translate ratings to densities and shapes; two nodules rated alike still differ a little."""
    hu = float(np.interp(ratings.texture, (1, 2, 3, 4, 5), (-640, -540, -400, -90, 28))) + rng.normal(0, 22)
    mixed = 1.6 < ratings.texture < 4.4
    inside = {2: 4.0, 3: -75.0, 4: -850.0}.get(round(ratings.internal_structure))
    return Tissue(
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
