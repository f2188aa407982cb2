"""Thin round things, vessels, airway walls, spicules, as tapered capsules drawn where a plane meets them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lidcflow.phantom.grid import Grid

PATCH_PIXELS = (3, 5, 8, 12, 18, 28, 44)
"""Half sizes of the patches that capsules are drawn in: each takes the smallest that holds it."""

EDGE_MM = 1.2
"""Width that a capsule's edge is blurred over, on every grid: coarse pixels are samples, not averages."""


@dataclass(frozen=True, eq=False)
class Capsules:
    """Many tapered capsules.

    Attributes
    ----------
    starts, ends : (n, 3) array
        x, y and depth in mm.
    start_mm, end_mm : (n,) array
        Radii at the two ends.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]

    @cached_property
    def depths_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Highest and lowest depth that each reaches."""
        radius = np.maximum(self.start_mm, self.end_mm)
        ends = self.starts[:, 2], self.ends[:, 2]
        return np.minimum(*ends) - radius, np.maximum(*ends) + radius

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, chosen: NDArray[np.intp]) -> Capsules:
        return Capsules(self.starts[chosen], self.ends[chosen], self.start_mm[chosen], self.end_mm[chosen])


def no_capsules() -> Capsules:
    """Return an empty set."""
    return Capsules(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))


def join_capsules(sets: list[Capsules]) -> Capsules:
    """Put sets of capsules together."""
    return Capsules(
        np.concatenate([one.starts for one in sets]),
        np.concatenate([one.ends for one in sets]),
        np.concatenate([one.start_mm for one in sets]),
        np.concatenate([one.end_mm for one in sets]),
    )


def chain(points: NDArray[np.float64], radii_mm: NDArray[np.float64]) -> Capsules:
    """Join (n, 3) points by capsules, one after the other."""
    return Capsules(points[:-1], points[1:], radii_mm[:-1], radii_mm[1:])


def capsule_cover(
    capsules: Capsules, grid: Grid, depth_mm: float, thickness_mm: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the pixels of a slice that capsules cover.

    Parameters
    ----------
    capsules : Capsules
        What to draw.
    grid : Grid
        The slice's pixels.
    depth_mm, thickness_mm : float
        The slice's middle and thickness; a capsule that fills part of the thickness is drawn faint.

    Returns
    -------
    pixels : (n,) array
        Indices into the flattened slice; where capsules overlap a pixel comes more than once.
    cover : (n,) array of float32
        Share of each pixel that is covered, 0 to 1; the same for repeated pixels.
    """
    near = capsules[_near(capsules, depth_mm, thickness_mm)]
    if not len(near):
        return np.zeros(0, np.intp), np.zeros(0, np.float32)
    centres, half_pixels = _patches(near, grid, depth_mm, thickness_mm)
    kinds = np.searchsorted(PATCH_PIXELS, np.minimum(half_pixels, PATCH_PIXELS[-1]))
    drawn = []
    for kind in np.unique(kinds):
        chosen = np.flatnonzero(kinds == kind)
        drawn.append(_draw(near[chosen], grid, centres[chosen], PATCH_PIXELS[kind], (depth_mm, thickness_mm)))
    pixels, shares = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    highest = np.zeros(grid.size * grid.size, np.float32)
    np.maximum.at(highest, pixels, shares)
    return pixels, highest[pixels]


def _near(capsules: Capsules, depth_mm: float, thickness_mm: float) -> NDArray[np.intp]:
    top_mm, bottom_mm = capsules.depths_mm
    reach = thickness_mm / 4 + EDGE_MM / 2
    return np.flatnonzero((top_mm <= depth_mm + reach) & (depth_mm - reach <= bottom_mm))


def _patches(
    capsules: Capsules, grid: Grid, depth_mm: float, thickness_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Centre pixels (row, column) and half sizes of the part of each capsule that the slice can meet."""
    along = capsules.ends - capsules.starts
    radius = np.maximum(capsules.start_mm, capsules.end_mm)
    reach = radius + thickness_mm / 4 + EDGE_MM / 2
    rise = np.where(np.abs(along[:, 2]) < 1e-6, 1e-6, along[:, 2])
    cuts = np.stack([depth_mm - reach, depth_mm + reach]) - capsules.starts[:, 2]
    cuts = np.clip(np.sort(cuts / rise, axis=0), 0.0, 1.0)
    middle = capsules.starts + along * cuts.mean(axis=0)[:, None]
    half = (cuts[1] - cuts[0])[:, None] * np.abs(along[:, :2]) / 2 + radius[:, None] + grid.spacing_mm
    centres = np.rint(grid.index(middle[:, 1::-1])).astype(np.int64)
    return centres, half.max(axis=1) / grid.spacing_mm


def _draw(
    capsules: Capsules, grid: Grid, centres: NDArray[np.int64], half: int, slab_mm: tuple[float, float]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Pixels that capsules cover, and the share of each, in patches of one size."""
    steps = np.arange(-half, half + 1)
    rows = centres[:, 0, None, None] + steps[:, None]
    columns = centres[:, 1, None, None] + steps
    inside = (rows >= 0) & (rows < grid.size) & (columns >= 0) & (columns < grid.size)
    depth_mm, thickness_mm = slab_mm
    share = _share(capsules, grid, rows, columns, depth_mm - 0.25 * thickness_mm)
    share += _share(capsules, grid, rows, columns, depth_mm + 0.25 * thickness_mm)
    share *= np.float32(0.5)
    marked = inside & (share > 0)
    return (rows * grid.size + columns)[marked], share[marked]


def _share(
    capsules: Capsules, grid: Grid, rows: NDArray[np.int64], columns: NDArray[np.int64], depth_mm: float
) -> NDArray[np.float32]:
    """Share of each pixel of each patch that a capsule covers at one depth."""
    start, along = capsules.starts.astype(np.float32), (capsules.ends - capsules.starts).astype(np.float32)
    length = np.maximum((along * along).sum(axis=1), np.float32(1e-6))
    x = grid.position(columns).astype(np.float32) - start[:, 0, None, None]
    y = grid.position(rows).astype(np.float32) - start[:, 1, None, None]
    z = (np.float32(depth_mm) - start[:, 2])[:, None, None]
    ax, ay, az = ((along[:, axis] / length)[:, None, None] for axis in range(3))
    h = np.clip(x * ax + y * ay + z * az, np.float32(0), np.float32(1))
    gap_x, gap_y, gap_z = (p - h * along[:, axis, None, None] for axis, p in enumerate((x, y, z)))
    distance = np.sqrt(gap_x * gap_x + gap_y * gap_y + gap_z * gap_z)
    edge = np.float32(EDGE_MM)
    first, last = (r.astype(np.float32)[:, None, None] for r in (capsules.start_mm, capsules.end_mm))
    radius = first + h * (last - first)
    faint = np.minimum(radius * (np.float32(1.7) / edge), np.float32(1))
    return np.asarray(np.clip((radius - distance) / edge + np.float32(0.5), np.float32(0), np.float32(1)) * faint)
