"""Variations of patches to train the detector on: turned, nearer, blurred, noisier, seen in thicker slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.window import PIXEL_MM, SIZE

Floats = NDArray[np.float32]

LARGEST_ZOOM = 1.45

SLAB_MM = (0.8, 3.6)
"""Thickness of slices that a patch may be seen through: coronal and sagittal planes are coarse along one axis."""

MATRICES = 128
"""Matrices of each kind, computed in advance."""


@dataclass(frozen=True)
class Variation:
    """Ranges in which the images of a source are varied.

    Attributes
    ----------
    least_zoom : float
        Smallest zoom; the largest is `LARGEST_ZOOM`. Images no wider than a patch would show their own mirror below 1.
    shift_mm : float
        Spread of the middle: candidates are not in the middle of what they found.
    spacing_spread : float
        Spread of the logarithm of the pixel spacing, where it is not known.
    """

    least_zoom: float = 0.7
    shift_mm: float = 0.8
    spacing_spread: float = 0.0


def cut_varied(
    images: NDArray[np.uint8],
    pixel_mm: Floats,
    variation: Variation,
    rng: np.random.Generator,
    away_mm: NDArray[np.float64] | None = None,
) -> Floats:
    """Cut patches of `SIZE` out of larger images, turned, flipped, zoomed and moved.

    Parameters
    ----------
    images : (n, side, side) array of uint8
        Images in the detector's window.
    pixel_mm : (n,) array
        Distance of their pixels.
    variation : Variation
        How far.
    rng : numpy.random.Generator
        Source of the variations.
    away_mm : (n,) array, optional
        Distance of the patches' middle from that of the images, in any direction; by default none.

    Returns
    -------
    (n, 48, 48) array of float32
        0 to 1; beyond an image's rim it is mirrored.
    """
    n = len(images)
    spacing_mm = pixel_mm * np.exp(rng.normal(0, variation.spacing_spread, n))
    down, right = _offsets_mm(n, variation, rng)
    moved = _moves_mm(n, variation, rng, away_mm)
    middle = (images.shape[1] - 1) / 2
    rows = (down + moved[0][:, None, None]) / spacing_mm[:, None, None] + middle
    columns = (right + moved[1][:, None, None]) / spacing_mm[:, None, None] + middle
    return _interpolated(images, rows, columns) / np.float32(255)


def _offsets_mm(
    n: int, variation: Variation, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the pixels of patches are, relative to their middle."""
    side_mm = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    zoom = np.exp(rng.uniform(np.log(variation.least_zoom), np.log(LARGEST_ZOOM), n))
    stretch = np.exp(rng.normal(0, 0.07, n))
    down = side_mm[None, :, None] / (zoom * stretch)[:, None, None]
    right = side_mm[None, None, :] * (rng.choice([-1, 1], n) / zoom * stretch)[:, None, None]
    angle = rng.uniform(0, 2 * np.pi, n)
    angle = np.where(rng.random(n) < 0.3, np.round(angle / (np.pi / 2)) * np.pi / 2, angle)
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    return cosine * down - sine * right, sine * down + cosine * right


def _moves_mm(
    n: int, variation: Variation, rng: np.random.Generator, away_mm: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    moves = rng.normal(0, variation.shift_mm, (2, n)).clip(-3 * variation.shift_mm, 3 * variation.shift_mm)
    if away_mm is None:
        return moves
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.asarray(moves / 2 + away_mm * np.stack([np.sin(angle), np.cos(angle)]))


def _interpolated(
    images: NDArray[np.uint8], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate linearly, each patch in its own image."""
    side = images.shape[1]
    first_row, row_share = _between(rows, side)
    first_column, column_share = _between(columns, side)
    at = (np.arange(len(images))[:, None, None] * side + first_row) * side + first_column
    grey = images.reshape(-1)
    above = grey[at] * (1 - column_share) + grey[at + 1] * column_share
    below = grey[at + side] * (1 - column_share) + grey[at + side + 1] * column_share
    return np.asarray(above * (1 - row_share) + below * row_share, np.float32)


def _between(index: NDArray[np.float64], side: int) -> tuple[NDArray[np.int64], Floats]:
    """Mirror indices at the rim and part them into whole pixels and shares of the next one."""
    last = side - 1
    mirrored = (last - np.abs(last - np.abs(index))).clip(0, last - 1e-3)
    first = mirrored.astype(np.int64)
    return first, (mirrored - first).astype(np.float32)


class Scanner:
    """Records patches as another scanner would: thicker slices, a softer kernel, another dose.

    Parameters
    ----------
    seed : int
        Seed of the slabs' thickness and place.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        slabs = rng.uniform(*SLAB_MM, MATRICES) / PIXEL_MM
        self._slabs = np.stack([slab_matrix(pixels, rng.uniform(0, pixels)) for pixels in slabs])
        self._blurs = np.stack([_blur_matrix(sigma) for sigma in np.linspace(0.05, 1.1, MATRICES)])

    def record(self, patches: Floats, rng: np.random.Generator) -> Floats:
        """Return (n, 48, 48) patches of 0 to 1 as recorded anew."""
        n = len(patches)
        patches = patches.copy()
        thick = np.flatnonzero(rng.random(n) < 0.35)
        patches[thick] = self._slabs[rng.integers(0, MATRICES, len(thick))] @ patches[thick]
        turned = np.flatnonzero(rng.random(n) < 0.35)
        patches[turned] = patches[turned].transpose(0, 2, 1)
        soft = np.flatnonzero(rng.random(n) < 0.4)
        patches[soft] = self._blurred(patches[soft], rng.integers(0, MATRICES, len(soft)))
        patches += self._noise(n, rng)
        gain, offset = rng.normal(1, 0.05, (n, 1, 1)), rng.normal(0, 0.025, (n, 1, 1))
        return np.asarray(((patches - 0.05) * gain + 0.05 + offset).clip(0, 1), np.float32)

    def _noise(self, n: int, rng: np.random.Generator) -> Floats:
        noise = rng.standard_normal((n, SIZE, SIZE), dtype=np.float32)
        coarse = np.flatnonzero(rng.random(n) < 0.5)
        kinds = rng.integers(MATRICES // 4, MATRICES, len(coarse))
        noise[coarse] = 1.8 * self._blurred(noise[coarse], kinds)
        deviation = np.where(rng.random(n) < 0.6, rng.exponential(0.02, n), 0).clip(0, 0.08)
        return noise * deviation.astype(np.float32)[:, None, None]

    def _blurred(self, patches: Floats, kinds: NDArray[np.int64]) -> Floats:
        blurs = self._blurs[kinds]
        return np.asarray(blurs @ patches @ blurs.transpose(0, 2, 1))


def slab_matrix(pixels: float, first: float, size: int = SIZE) -> Floats:
    """Return the matrix that averages rows over slabs and interpolates between the slabs' middles.

    Parameters
    ----------
    pixels : float
        Thickness of a slab.
    first : float
        Middle of one of them.
    size : int
        Rows.

    Examples
    --------
    >>> slab_matrix(2.0, 0.5, size=4)[1].tolist()
    [0.375, 0.375, 0.125, 0.125]
    """
    middles = np.arange(first - (first // pixels + 2) * pixels, size + 2 * pixels, pixels)
    rows = np.arange(size)
    upper = np.minimum(rows + 0.5, middles[:, None] + pixels / 2)
    shares = np.clip(upper - np.maximum(rows - 0.5, middles[:, None] - pixels / 2), 0, None)
    shares[:, 0] += np.where(middles < size / 2, np.clip(pixels - shares.sum(axis=1), 0, None), 0)
    shares[:, -1] += np.where(middles >= size / 2, np.clip(pixels - shares.sum(axis=1), 0, None), 0)
    weights = np.clip(1 - np.abs(rows[:, None] - middles) / pixels, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ (shares / shares.sum(axis=1, keepdims=True)), np.float32)


def _blur_matrix(sigma: float) -> Floats:
    rows = np.arange(SIZE)
    weights = np.exp(-0.5 * ((rows[:, None] - rows) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
