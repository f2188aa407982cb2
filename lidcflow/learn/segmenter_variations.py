"""Varied views of a cube and its outline: turned, mirrored, shifted, at another pitch, of another scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 32
"""Voxels along each side of a view: it costs a third of a cube of 48, and most nodules fill less."""

FINE_MM, COARSE_MM = (0.65, 0.9), (1.25, 1.7)
"""Pitches of the views of small and of large nodules: stored cubes are at 0.75 and 1.5 mm."""

LARGE_MM = 22.0
"""Diameter from which a nodule is shown at a coarse pitch."""

OTHER = 0.25
"""Share of views at any pitch between."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OutlinedCube:
    """A cube with its outline.

    Attributes
    ----------
    grey : (slices, rows, columns) array of float32
        0 (air) to 255.
    mask : (slices, rows, columns) array of float32
        1 in the nodule.
    voxel_mm : float
    """

    grey: Floats
    mask: Floats
    voxel_mm: float

    @property
    def centre(self) -> NDArray[np.float64]:
        """Return the centre of the outline in voxels."""
        return np.array(ndimage.center_of_mass(self.mask))

    @property
    def diameter_mm(self) -> float:
        """Return the diameter of the sphere of the same volume."""
        return float(2 * (3 * self.mask.sum() / (4 * np.pi)) ** (1 / 3) * self.voxel_mm)


def varied_view(cube: OutlinedCube, rng: Generator) -> tuple[Floats, Floats, float]:
    """Return a varied view of a cube.

    Parameters
    ----------
    cube : OutlinedCube
    rng : Generator

    Returns
    -------
    (32, 32, 32) array of float32
        Densities, 0 to 255.
    (32, 32, 32) array of float32
        Share of each voxel in the nodule.
    float
        Pitch in mm.
    """
    pitch_mm = _pitch_mm(cube.diameter_mm, rng)
    step = pitch_mm / cube.voxel_mm * rng.uniform(0.85, 1.2)
    matrix = step * _turn(rng)
    away_mm = rng.normal(0, 0.8 + 0.06 * cube.diameter_mm, 3).clip(-4, 4)
    offset = cube.centre + away_mm / cube.voxel_mm - matrix @ np.full(3, (SIDE - 1) / 2)
    shape = (SIDE, SIDE, SIDE)
    grey = ndimage.affine_transform(cube.grey, matrix, offset, shape, order=1, mode="mirror")
    mask = ndimage.affine_transform(cube.mask, matrix, offset, shape, order=1, mode="constant")
    return _recorded(grey, rng), mask, pitch_mm


def _pitch_mm(diameter_mm: float, rng: Generator) -> float:
    near, far = FINE_MM if diameter_mm < LARGE_MM else COARSE_MM
    if rng.random() < OTHER:
        near, far = (FINE_MM[0] if diameter_mm < LARGE_MM else 1.0), COARSE_MM[1]
    return float(rng.uniform(near, far))


def _turn(rng: Generator) -> NDArray[np.float64]:
    """Return a rotation: any in the axial plane, up to some 20 degrees out of it, and mirrored along any axis."""
    turn, tilt, roll = rng.uniform(-np.pi, np.pi), *rng.normal(0, 0.2, 2).clip(-0.4, 0.4)
    matrix = _plane(turn, 1, 2) @ _plane(tilt, 0, 1) @ _plane(roll, 0, 2)
    return np.asarray(matrix * rng.choice([-1, 1], 3))


def _plane(angle: float, first: int, second: int) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _recorded(grey: Floats, rng: Generator) -> Floats:
    """Blur, shift densities and add noise, as scanners and kernels differ."""
    if rng.random() < 0.5:
        grey = ndimage.gaussian_filter(grey, (rng.uniform(0, 1.2), *(rng.uniform(0, 0.7),) * 2))
    noise = rng.standard_normal(grey.shape, np.float32) * rng.uniform(0, 8)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, 0.6) * 2
    return np.asarray((grey * rng.uniform(0.93, 1.07) + rng.normal(0, 4) + noise).clip(0, 255), np.float32)
