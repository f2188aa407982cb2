"""Surroundings of a candidate: HU along rays from its middle, in units of its radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.compute_threads import map_in_threads

DIRECTIONS = 64
RADII = np.linspace(0, 2, 17)
"""Places along a ray, in radii of the blob."""

TISSUE_ABOVE_HU = -600
"""The shell of a candidate is air below this."""


@dataclass(frozen=True)
class Surroundings:
    """HU around candidates, (n,) arrays of float64 each.

    Parameters
    ----------
    inside_hu : array
        Mean within 0.7 radii.
    edge_hu : array
        Mean from 0.9 to 1.2 radii.
    spread_hu : array
        Standard deviation within 0.7 radii.
    contrast_hu : array
        `inside_hu` over the median of the shell from 1.3 to 1.9 radii.
    shell_air : array
        Share of that shell below -600 HU.
    near_air : array
        Share of the shell from 1.15 to 1.5 radii below -500 HU.
    reach : array
        Median over directions of the distance, in radii of the blob, at which HU falls half way to the shell.
    roundness : array
        Lower over upper quartile of these distances: near 1 in a ball, near 0 in a vessel.
    attached : array
        Share of directions in which HU does not fall so far within two radii.
    one_sided : array
        Length of the mean of these directions: they are to one side at a wall, to two of a vessel.
    elongation : array
        Share of the largest second moment of these distances: a third in a ball.
    """

    inside_hu: NDArray[np.float64]
    edge_hu: NDArray[np.float64]
    spread_hu: NDArray[np.float64]
    contrast_hu: NDArray[np.float64]
    shell_air: NDArray[np.float64]
    near_air: NDArray[np.float64]
    reach: NDArray[np.float64]
    roundness: NDArray[np.float64]
    attached: NDArray[np.float64]
    one_sided: NDArray[np.float64]
    elongation: NDArray[np.float64]


def look_around(
    hu: NDArray[np.float32], index: NDArray[np.float64], radius_mm: NDArray[np.float64], voxel_mm: NDArray[np.float64]
) -> Surroundings:
    """Measure HU on spheres around candidates.

    Parameters
    ----------
    hu : (slices, rows, columns) array of float32
        The volume.
    index : (n, 3) array of float64
        Middle of each candidate.
    radius_mm : (n,) array of float64
        Radius of each.
    voxel_mm : (3,) array of float64
        Distance of slices, rows and columns.
    """
    rays = _rays(hu, index, radius_mm, voxel_mm)
    inside = rays[:, :, RADII < 0.7]
    inside_hu = _ball_mean(inside, RADII[RADII < 0.7])
    shell = _shell(rays, 1.3, 1.9)
    shell_hu = np.median(shell, axis=1).astype(np.float64)
    lengths = _half_way(rays, inside_hu, shell_hu)
    endless = (lengths >= RADII[-1]).astype(np.float64)
    quartiles = np.quantile(lengths, (0.25, 0.5, 0.75), axis=1)
    return Surroundings(
        inside_hu=inside_hu,
        edge_hu=_shell(rays, 0.9, 1.2).mean(axis=1),
        spread_hu=inside.std(axis=(1, 2)),
        contrast_hu=inside_hu - shell_hu,
        shell_air=(shell < TISSUE_ABOVE_HU).mean(axis=1),
        near_air=(_shell(rays, 1.15, 1.5) < TISSUE_ABOVE_HU + 100).mean(axis=1),
        reach=quartiles[1],
        roundness=quartiles[0] / np.maximum(quartiles[2], 1e-3),
        attached=endless.mean(axis=1),
        one_sided=np.linalg.norm(np.einsum("nk,ki->ni", endless, _DIRECTIONS), axis=1) / DIRECTIONS,
        elongation=_elongation(lengths),
    )


def spread_directions() -> NDArray[np.float64]:
    """Return (DIRECTIONS, 3) unit vectors, evenly spread over the sphere by the golden angle."""
    height = 1 - (2 * np.arange(DIRECTIONS) + 1) / DIRECTIONS
    angle = np.pi * (3 - 5**0.5) * np.arange(DIRECTIONS)
    across = np.sqrt(1 - height**2)
    return np.column_stack([height, across * np.sin(angle), across * np.cos(angle)])


_DIRECTIONS = spread_directions()


def _rays(
    hu: NDArray[np.float32], index: NDArray[np.float64], radius_mm: NDArray[np.float64], voxel_mm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Sample (n, DIRECTIONS, radii) voxels, linearly."""
    unit = _DIRECTIONS[:, None, :] * RADII[:, None] / voxel_mm
    rays = np.empty((len(index), DIRECTIONS, len(RADII)), np.float32)

    def sample(start: int) -> None:
        part = slice(start, start + 256)
        places = index[part, None, None, :] + unit * radius_mm[part, None, None, None]
        ndimage.map_coordinates(hu, np.moveaxis(places, -1, 0), order=1, mode="nearest", output=rays[part])

    map_in_threads(sample, range(0, len(index), 256))
    return rays


def _ball_mean(inside: NDArray[np.float32], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over a ball: each sphere counts by its area."""
    return np.average(inside.mean(axis=1), axis=1, weights=radii**2 + 0.02)


def _shell(rays: NDArray[np.float32], inner: float, outer: float) -> NDArray[np.float32]:
    return rays[:, :, (inner < RADII) & (outer > RADII)].reshape(len(rays), -1)


def _half_way(
    rays: NDArray[np.float32], inside_hu: NDArray[np.float64], shell_hu: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (n, DIRECTIONS) distances, in radii, at which HU first falls half way to the shell; 2 at most."""
    half = ((inside_hu + np.minimum(shell_hu, inside_hu - 100)) / 2).astype(np.float32)[:, None, None]
    below = rays < half
    reached = below.any(axis=2)
    first = np.where(reached, below.argmax(axis=2), len(RADII) - 1).clip(1)[..., None]
    outer, inner = (np.take_along_axis(rays, first - back, axis=2)[..., 0] for back in (0, 1))
    share = np.clip((inner - half[..., 0]) / np.maximum(inner - outer, 1), 0, 1)
    return np.asarray(np.where(reached, RADII[first[..., 0] - 1] + share * RADII[1], RADII[-1]), np.float64)


def _elongation(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the largest second moment of the ends of rays: a third in a ball, near 1 in a vessel."""
    ends = lengths[..., None] * _DIRECTIONS
    moments = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", ends, ends))
    return np.asarray(moments[:, 2] / np.maximum(moments.sum(axis=1), 1e-9))


def share_in(
    mask: NDArray[np.bool_], index: NDArray[np.float64], radius_mm: NDArray[np.float64], voxel_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of the sphere at 1.5 radii around candidates that is in a mask.

    Parameters
    ----------
    mask : (slices, rows, columns) array of bool
        The mask.
    index : (n, 3) array of float64
        Middle of each candidate.
    radius_mm : (n,) array of float64
        Radius of each.
    voxel_mm : (3,) array of float64
        Distance of slices, rows and columns.
    """
    steps = 1.5 * radius_mm[:, None, None] * _DIRECTIONS / voxel_mm
    last = np.array(mask.shape) - 1
    voxels = np.clip(np.rint(index[:, None, :] + steps), 0, last).astype(np.intp)
    return np.asarray(mask[voxels[..., 0], voxels[..., 1], voxels[..., 2]].mean(axis=1))
