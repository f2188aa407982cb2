"""A multi-scale dot filter: bright blobs in a volume, with their size and shape by second derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.compute_threads import map_in_threads

BALL = 3**0.5
"""Radius of the ball that a Laplacian of Gaussian of standard deviation 1 answers to most."""

TRUNCATE = 3.0
"""Standard deviations after which a Gaussian ends."""

FINE_STEPS = 1.25
"""Least width of a Gaussian in voxels: coarse scales are searched on every second voxel, or fewer, down to it."""


@dataclass(frozen=True)
class Blobs:
    """Local maxima of the scale-normalised Laplacian where the volume is curved downwards along every direction.

    Parameters
    ----------
    index : (n, 3) array of float64
        Slice, row and column in the volume.
    sigma_mm : (n,) array of float64
        Scale: the radius of a ball is `BALL` times that.
    laplacian : (n,) array of float64
        Scale-normalised, negative: a ball of 1000 HU contrast has about 740.
    curvatures : (n, 3) array of float64
        Scale-normalised negative eigenvalues of the Hessian, least first: all alike in a ball, the first 0 in a vessel.
    """

    index: NDArray[np.float64]
    sigma_mm: NDArray[np.float64]
    laplacian: NDArray[np.float64]
    curvatures: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def dot(self) -> NDArray[np.float64]:
        """The dot filter of Li, Sone and Doi: large for balls, 0 for tubes and plates."""
        return self.curvatures[:, 0] ** 2 / np.maximum(self.curvatures[:, 2], 1e-3)

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Blobs:
        """Return some of them."""
        return Blobs(self.index[chosen], self.sigma_mm[chosen], self.laplacian[chosen], self.curvatures[chosen])


def find_blobs(
    hu: NDArray[np.float32],
    mask: NDArray[np.bool_],
    voxel_mm: NDArray[np.float64],
    *,
    sigmas_mm: Sequence[float],
    at_least: float,
) -> Blobs:
    """Find blobs brighter than what is around them.

    Parameters
    ----------
    hu : (slices, rows, columns) array of float32
        The volume.
    mask : (slices, rows, columns) array of bool
        Where their middle may be.
    voxel_mm : (3,) array of float64
        Distance of slices, rows and columns.
    sigmas_mm : sequence of float
        Scales.
    at_least : float
        Least scale-normalised Laplacian.

    Returns
    -------
    Blobs
        Scale by scale, each from the top down; one thing may stand at several scales.

    References
    ----------
    Lindeberg 1998, doi:10.1023/A:1008045108935; Li, Sone and Doi 2003, doi:10.1118/1.1581411.
    """
    levels = _levels(hu, mask, voxel_mm, sigmas_mm)
    return _joined(map_in_threads(lambda scale: _at_scale(*scale[0], scale[1], at_least), levels))


_Level = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64], NDArray[np.intp]]
"""Volume, mask, size of a voxel and the voxels of the full volume in it."""


def _levels(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], voxel_mm: NDArray[np.float64], sigmas_mm: Iterable[float]
) -> Iterator[tuple[_Level, float]]:
    """Yield each scale with the volume that is fine enough for it."""
    level: _Level = hu, mask, voxel_mm, np.ones(3, np.intp)
    for sigma_mm in sigmas_mm:
        while (halve := 2 * FINE_STEPS * level[2] <= sigma_mm).any() and min(level[0].shape) > 3:
            level = _halved(level, halve)
        yield level, sigma_mm


def _halved(level: _Level, halve: NDArray[np.bool_]) -> _Level:
    """Average pairs of voxels along some axes."""
    hu, mask, voxel_mm, step = level
    for axis in np.flatnonzero(halve).tolist():
        n = hu.shape[axis] // 2 * 2
        first, second = ([slice(None)] * 3 for _ in range(2))
        first[axis], second[axis] = slice(0, n, 2), slice(1, n, 2)
        hu = (hu[tuple(first)] + hu[tuple(second)]) * np.float32(0.5)
        mask = mask[tuple(first)] | mask[tuple(second)]
    factor = np.where(halve, 2, 1)
    return hu, mask, voxel_mm * factor, step * factor


def _at_scale(
    hu: NDArray[np.float32],
    mask: NDArray[np.bool_],
    voxel_mm: NDArray[np.float64],
    step: NDArray[np.intp],
    sigma_mm: float,
    at_least: float,
) -> Blobs:
    smooth = ndimage.gaussian_filter(hu, sigma_mm / voxel_mm, truncate=TRUNCATE, mode="nearest")
    padded = _negative_laplacian(smooth, (sigma_mm / voxel_mm) ** 2)
    response = padded[1:-1, 1:-1, 1:-1]
    peaks = _peaks(padded, mask & (response > at_least))
    curvatures = _curvatures(smooth, peaks, sigma_mm / voxel_mm)
    index = np.asarray((peaks + _offsets(padded, peaks + 1) + 0.5) * step - 0.5, np.float64)
    values = response[tuple(peaks.T)].astype(np.float64)
    blobs = Blobs(index, np.full(len(peaks), sigma_mm), values, curvatures)
    return blobs.take(curvatures[:, 0] > 0)


def _negative_laplacian(smooth: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add up the weighted second differences, slice by slice so that the work stays in the cache.

    Around them is one voxel of minus infinity.
    """
    through, down, right = weights.astype(np.float32)
    padded, last = np.full(np.array(smooth.shape) + 2, -np.inf, np.float32), len(smooth) - 1
    for k, (plane, out) in enumerate(zip(smooth, padded[1:-1, 1:-1, 1:-1], strict=True)):
        rim = np.pad(plane, 1, mode="edge")
        np.multiply(plane, 2 * (through + down + right), out=out)
        out -= (smooth[max(k - 1, 0)] + smooth[min(k + 1, last)]) * through
        out -= (rim[:-2, 1:-1] + rim[2:, 1:-1]) * down
        out -= (rim[1:-1, :-2] + rim[1:-1, 2:]) * right
    return padded


_NEIGHBOURS = sorted(
    ((dz, dy, dx) for dz in (-1, 0, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dz or dy or dx),
    key=lambda offset: sum(map(abs, offset)),
)
"""Nearest first: they rule out most voxels."""


def _peaks(padded: NDArray[np.float32], above: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the (n, 3) voxels of a padded volume that no neighbour exceeds; of equal neighbours, the first one."""
    flat = padded.ravel()
    _, rows, columns = padded.shape
    peaks = _flat_indices(above, rows, columns)
    values = flat[peaks]
    for offset in _NEIGHBOURS:
        neighbours = flat[peaks + (offset[0] * rows + offset[1]) * columns + offset[2]]
        kept = values > neighbours if offset < (0, 0, 0) else values >= neighbours
        peaks, values = peaks[kept], values[kept]
    return np.column_stack(np.unravel_index(peaks, padded.shape)) - 1


def _offsets(padded: NDArray[np.float32], peaks: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far from its voxel, along each axis, a peak is by the parabola through its neighbours."""
    offsets = np.zeros(peaks.shape)
    middle = padded[tuple(peaks.T)].astype(np.float64)
    for axis, one in enumerate(np.eye(3, dtype=np.intp)):
        before, after = (padded[tuple((peaks + step).T)].astype(np.float64) for step in (-one, one))
        curved = np.isfinite(before) & np.isfinite(after) & (2 * middle - before - after > 0)
        slope, bend = np.where(curved, after - before, 0), np.where(curved, 2 * middle - before - after, 1)
        offsets[:, axis] = np.clip(slope / bend / 2, -0.5, 0.5)
    return offsets


def _flat_indices(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.intp]:
    """Return where a mask's voxels are in the flat padded volume."""
    found = np.flatnonzero(mask)
    k, rest = np.divmod(found, mask.shape[1] * mask.shape[2])
    i, j = np.divmod(rest, mask.shape[2])
    return np.asarray(((k + 1) * rows + i + 1) * columns + j + 1)


def _curvatures(
    smooth: NDArray[np.float32], peaks: NDArray[np.intp], sigma: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the negative eigenvalues of the scale-normalised Hessian at voxels, least first."""
    middle = np.clip(peaks, 1, np.array(smooth.shape) - 2)
    axes = np.eye(3, dtype=np.intp)

    def at(offset: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.asarray(smooth[tuple((middle + offset).T)], np.float64)

    hessian = np.empty((len(peaks), 3, 3))
    for i in range(3):
        hessian[:, i, i] = (at(axes[i]) + at(-axes[i]) - 2 * at(0 * axes[i])) * sigma[i] ** 2
        for j in range(i):
            mixed = at(axes[i] + axes[j]) - at(axes[i] - axes[j]) - at(axes[j] - axes[i]) + at(-axes[i] - axes[j])
            hessian[:, i, j] = hessian[:, j, i] = mixed / 4 * sigma[i] * sigma[j]
    return np.asarray(np.linalg.eigvalsh(-hessian), np.float64)


def _joined(parts: Sequence[Blobs]) -> Blobs:
    return Blobs(
        np.concatenate([part.index for part in parts]),
        np.concatenate([part.sigma_mm for part in parts]),
        np.concatenate([part.laplacian for part in parts]),
        np.concatenate([part.curvatures for part in parts]),
    )
