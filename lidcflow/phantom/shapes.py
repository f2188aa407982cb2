"""Shapes as distance fields: negative inside, positive outside, in mm, near enough to draw soft edges with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.floating]
FieldLike = Field | float


def smooth_min(a: FieldLike, b: FieldLike, reach_mm: float) -> Field:
    """Join two shapes, rounding the seam over `reach_mm`."""
    seam = np.maximum(reach_mm - np.abs(a - b), 0.0)
    return np.asarray(np.minimum(a, b) - seam * seam / (4 * reach_mm))


def smooth_max(a: FieldLike, b: FieldLike, reach_mm: float) -> Field:
    """Intersect two shapes, rounding the seam over `reach_mm`."""
    return -smooth_min(-a, -b, reach_mm)


def squircle_radius(u: FieldLike, v: FieldLike, squareness: float) -> Field:
    """Radius of a shape between an ellipse (squareness 0) and a rectangle (1); 1 on its edge.

    References
    ----------
    M. Fernandez Guasti, Analytic geometry of some rectilinear figures, 1992.
    """
    uu, vv = u * u, v * v
    sum_of_squares = uu + vv
    root = np.sqrt(np.maximum(sum_of_squares * sum_of_squares - (4 * squareness * squareness) * uu * vv, 0.0))
    return np.asarray(np.sqrt(0.5 * (sum_of_squares + root)))


def squircle(x: FieldLike, y: FieldLike, half_x: FieldLike, half_y: FieldLike, squareness: float) -> Field:
    """Distance in mm to a squircle with these half axes, about its own centre."""
    u, v = x / half_x, y / half_y
    slope = np.sqrt(((u / half_x) ** 2 + (v / half_y) ** 2) / (u * u + v * v + 1e-9) + 1e-9)
    return np.asarray((squircle_radius(u, v, squareness) - 1.0) / slope)


def ellipsoid(x: FieldLike, y: FieldLike, z: FieldLike, radii: tuple[float, float, float]) -> Field:
    """Distance in mm to an ellipsoid, about its own centre."""
    a, b, c = radii
    return np.asarray((np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - 1.0) * min(radii))


def tube(path: NDArray[np.float64], x: FieldLike, y: FieldLike, z: FieldLike) -> Field:
    """Distance in mm to a tube along a polyline.

    Parameters
    ----------
    path : (n_points, 4) array
        x, y, z and radius of each point, in mm.
    x, y, z : arrays that broadcast
        Where to measure, in mm.
    """
    distance: Field | None = None
    for start, end in pairwise(path):
        along = end[:3] - start[:3]
        offset = (x - start[0], y - start[1], z - start[2])
        h = (offset[0] * along[0] + offset[1] * along[1] + offset[2] * along[2]) / float(along @ along)
        h = np.clip(h, 0.0, 1.0)
        gap = sum((o - h * a) ** 2 for o, a in zip(offset, along, strict=True))
        piece = np.sqrt(gap) - (start[3] + h * (end[3] - start[3]))
        distance = piece if distance is None else np.minimum(distance, piece)
    if distance is None:
        raise ValueError(f"tube: path must have at least 2 points, got {len(path)}")
    return np.asarray(distance)


def coverage(distance_mm: FieldLike, edge_mm: float) -> Field:
    """Share of a voxel that lies inside, 0 to 1, for an edge blurred over `edge_mm`."""
    return np.asarray(np.clip(0.5 - np.asarray(distance_mm) / edge_mm, 0.0, 1.0))


def blend(below_hu: Field, distance_mm: FieldLike, hu: FieldLike, edge_mm: float) -> Field:
    """Lay a shape of this density over what is below it."""
    return np.asarray(below_hu + coverage(distance_mm, edge_mm) * (hu - below_hu))


def smooth_step(value: FieldLike, low: float, high: float) -> Field:
    """Rise from 0 at `low` to 1 at `high`."""
    t = np.clip((np.asarray(value) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random function of position: a few plane waves, about -1 to 1.

    Attributes
    ----------
    numbers : (n_waves, 3) array
        Angular wave numbers along x, y and z, in radians per mm.
    phases : (n_waves,) array
        In radians.
    """

    numbers: NDArray[np.float64]
    phases: NDArray[np.float64]

    def at(self, x: FieldLike, y: FieldLike, z: FieldLike) -> Field:
        """Evaluate at positions in mm; a row x with a column y costs sines of the two lines only."""
        total: FieldLike = 0.0
        for (kx, ky, kz), phase in zip(self.numbers, self.phases, strict=True):
            along, across = kx * x, ky * y + (kz * z + phase)
            total = total + np.sin(along) * np.cos(across) + np.cos(along) * np.sin(across)
        return np.asarray(total * (1.0 / np.sqrt(2.0 * len(self.phases))))


def random_waves(rng: Generator, shortest_mm: float, longest_mm: float, n_waves: int = 5) -> Waves:
    """Draw waves of random direction, with lengths between two limits in mm."""
    directions = rng.normal(size=(n_waves, 3))
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    lengths = rng.uniform(shortest_mm, longest_mm, size=(n_waves, 1))
    return Waves(directions * (2 * np.pi) / lengths, rng.uniform(0, 2 * np.pi, size=n_waves))
