"""Nodules of patients who never were: ratings and shapes drawn as LIDC-IDRI's readers gave them.

The figures are summaries over all 2,651 nodules of LIDC-IDRI; no reading of any patient is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.grid import Grid
from lidcflow.phantom.lesions import Lesion, MeanRatings, Patch, tissue_of
from lidcflow.phantom.shapes import Waves, random_waves

BENIGN, MALIGNANT = 1, 2
DIAMETER_MM = {BENIGN: (5.3, 0.36), MALIGNANT: (7.9, 0.53)}
"""Median of the diameter, and standard deviation of its logarithm."""

Z_STRETCH = 1.4
"""Thick slices draw nodules out along z."""

CALCIFIED = {BENIGN: 0.25, MALIGNANT: 0.008}
PATTERNS, PATTERN_SHARES = (2, 3, 4, 5), (0.01, 0.80, 0.13, 0.06)
NOT_SOLID = {BENIGN: 0.17, MALIGNANT: 0.27}
MARGIN = {BENIGN: 4.3, MALIGNANT: 3.7}


@dataclass(frozen=True, eq=False)
class BlobOutline:
    """A lobed ellipsoid.

    Attributes
    ----------
    centre_mm : (x, y, depth)
        Position in the scan.
    radius_mm : float
        Mean radius.
    axes : (3, 3) array
        Unit axes divided by their lengths relative to the mean radius.
    lobes : Waves
        Shape of the lobes.
    lobe_mm : float
        How far they reach out.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    axes: NDArray[np.float64]
    lobes: Waves
    lobe_mm: float

    def patch(self, grid: Grid, depth_mm: float) -> Patch | None:
        """Return the part of a slice, if the slice meets the nodule."""
        reach = 1.6 * self.radius_mm + self.lobe_mm + 2.0
        dz = depth_mm - self.centre_mm[2]
        if abs(dz) > reach:
            return None
        column, row = (int(v) for v in np.floor(grid.index(np.array(self.centre_mm[:2]) - reach)))
        steps = np.arange(int(2 * reach / grid.spacing_mm) + 2)
        dx = (grid.position(column + steps) - self.centre_mm[0])[None, :]
        dy = (grid.position(row + steps) - self.centre_mm[1])[:, None]
        gap = sum((a * dx + b * dy + c * dz) ** 2 for a, b, c in self.axes)
        inside = self.radius_mm - np.sqrt(gap) + self.lobe_mm * self.lobes.at(dx, dy, dz)
        return Patch(row, column, np.asarray(inside, np.float32), 1.0) if inside.max() > -1.0 else None


def random_lesion(rng: Generator, label: int, centre_mm: tuple[float, float, float]) -> Lesion:
    """Draw a benign (1) or malignant (2) nodule at a place (x, y, depth)."""
    median, spread = DIAMETER_MM[label]
    diameter = float(np.clip(median * np.exp(rng.normal(0, spread)), 3.0, 38.0))
    ratings = random_ratings(rng, label, diameter)
    axes = _random_axes(rng)
    radius = diameter / 2
    lobe_mm = radius * (0.05 + 0.055 * (ratings.lobulation - 1.0))
    lobes = random_waves(rng, 0.9 * radius + 1.5, 2.5 * radius + 4.0)
    outline = BlobOutline(centre_mm, radius, axes, lobes, lobe_mm)
    return Lesion(outline, tissue_of(ratings, outline, rng))


def random_ratings(rng: Generator, label: int, diameter_mm: float) -> MeanRatings:
    """Draw mean ratings: larger and malignant ones are more lobed, more spiculated, easier to see."""
    size = float(np.clip((diameter_mm - 5.0) / 12.0, 0.0, 1.3))
    malignant = label == MALIGNANT
    solid = rng.random() >= NOT_SOLID[label]
    texture = float(np.clip(5.0 - rng.exponential(0.2), 4.0, 5.0)) if solid else float(rng.uniform(1.0, 4.4))
    calcified = rng.random() < CALCIFIED[label] and texture > 3.5
    subtlety = rng.normal(3.35 + 1.2 * size + 0.15 * malignant, 0.9) - 0.9 * (texture < 3) + 0.6 * calcified
    return MeanRatings(
        subtlety=float(np.clip(subtlety, 1, 5)),
        internal_structure=1.0,
        calcification=float(rng.choice(PATTERNS, p=PATTERN_SHARES)) if calcified else 6.0,
        margin=float(np.clip(rng.normal(MARGIN[label] - 0.4 * size - 1.0 * (texture < 3.5), 0.85), 1, 5)),
        lobulation=float(np.clip(1.0 + rng.exponential(0.3 + (0.5 + 0.35 * malignant) * size), 1, 5)),
        spiculation=float(np.clip(1.0 + rng.exponential(0.25 + (0.35 + 0.5 * malignant) * size), 1, 5)),
        texture=texture,
    )


def _random_axes(rng: Generator) -> NDArray[np.float64]:
    """Three unit axes over their lengths, which are about 1."""
    first, second = rng.normal(size=(2, 3))
    first /= np.sqrt(first @ first)
    second -= first * (first @ second)
    second /= np.sqrt(second @ second)
    third = np.array(
        [
            first[1] * second[2] - first[2] * second[1],
            first[2] * second[0] - first[0] * second[2],
            first[0] * second[1] - first[1] * second[0],
        ]
    )
    lengths = np.exp(rng.normal(0, 0.16, size=(3, 1)))
    return np.asarray(np.stack([first, second, third]) / lengths / np.array([1.0, 1.0, Z_STRETCH]))
