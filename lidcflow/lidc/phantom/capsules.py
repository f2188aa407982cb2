"""Thin round things, vessels, airway walls, spicules, as tapered capsules drawn where a plane meets them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.lidc.phantom.grid import Grid

PATCH_PIXELS = (3, 5, 8, 12, 18, 28, 44)
"""Half sizes of the patches that capsules are drawn in: each takes the smallest that holds it."""


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


def capsule_cover(capsules: Capsules, grid: Grid, depth_mm: float, thickness_mm: float) -> NDArray[np.float32]:
    """Draw capsules into one slice.

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
    (size, size) array of float32
        Share of each pixel that is covered, 0 to 1.
    """
    cover = np.zeros(grid.size * grid.size, dtype=np.float32)
    near = capsules[_near(capsules, depth_mm, thickness_mm)]
    if len(near):
        centres, half_pixels = _patches(near, grid, depth_mm, thickness_mm)
        kinds = np.searchsorted(PATCH_PIXELS, np.minimum(half_pixels, PATCH_PIXELS[-1]))
        for kind in np.unique(kinds):
            chosen = np.flatnonzero(kinds == kind)
            _draw(cover, near[chosen], grid, centres[chosen], PATCH_PIXELS[kind], (depth_mm, thickness_mm))
    return cover.reshape(grid.size, grid.size)


def _near(capsules: Capsules, depth_mm: float, thickness_mm: float) -> NDArray[np.intp]:
    reach = np.maximum(capsules.start_mm, capsules.end_mm) + thickness_mm / 4 + 0.6
    top = np.minimum(capsules.starts[:, 2], capsules.ends[:, 2]) - reach
    bottom = np.maximum(capsules.starts[:, 2], capsules.ends[:, 2]) + reach
    return np.flatnonzero((top <= depth_mm) & (depth_mm <= bottom))


def _patches(
    capsules: Capsules, grid: Grid, depth_mm: float, thickness_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Centre pixels (row, column) and half sizes of the part of each capsule that the slice can meet."""
    along = capsules.ends - capsules.starts
    radius = np.maximum(capsules.start_mm, capsules.end_mm)
    reach = radius + thickness_mm / 4 + 0.6
    rise = np.where(np.abs(along[:, 2]) < 1e-6, 1e-6, along[:, 2])
    cuts = np.stack([depth_mm - reach, depth_mm + reach]) - capsules.starts[:, 2]
    cuts = np.clip(np.sort(cuts / rise, axis=0), 0.0, 1.0)
    middle = capsules.starts + along * cuts.mean(axis=0)[:, None]
    half = (cuts[1] - cuts[0])[:, None] * np.abs(along[:, :2]) / 2 + radius[:, None] + grid.spacing_mm
    centres = np.rint(grid.index(middle[:, 1::-1])).astype(np.int64)
    return centres, half.max(axis=1) / grid.spacing_mm


def _draw(
    cover: NDArray[np.float32],
    capsules: Capsules,
    grid: Grid,
    centres: NDArray[np.int64],
    half: int,
    slab_mm: tuple[float, float],
) -> None:
    steps = np.arange(-half, half + 1)
    rows = centres[:, 0, None, None] + steps[:, None]
    columns = centres[:, 1, None, None] + steps
    inside = (rows >= 0) & (rows < grid.size) & (columns >= 0) & (columns < grid.size)
    depth_mm, thickness_mm = slab_mm
    share = _share(capsules, grid, rows, columns, depth_mm - 0.25 * thickness_mm)
    share += _share(capsules, grid, rows, columns, depth_mm + 0.25 * thickness_mm)
    marked = inside & (share > 0)
    pixels = (rows * grid.size + columns)[marked]
    np.maximum.at(cover, pixels, (0.5 * share[marked]).astype(np.float32))


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
    edge = np.float32(max(1.2, grid.spacing_mm))
    first, last = (r.astype(np.float32)[:, None, None] for r in (capsules.start_mm, capsules.end_mm))
    radius = first + h * (last - first)
    faint = np.minimum(radius * (np.float32(1.7) / edge), np.float32(1))
    return np.asarray(np.clip((radius - distance) / edge + np.float32(0.5), np.float32(0), np.float32(1)) * faint)
