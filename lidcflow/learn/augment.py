"""Variations of training slices: which part is seen, how large, and how a scanner would have seen it."""

import numpy as np
from numpy.typing import NDArray

SCALES = (0.9, 1.1)
GAINS = (0.93, 1.07)
SHARPNESS = (-0.6, 0.8)
"""Share of what a smoothing would take away that is taken or added: kernels from soft to sharp."""

LARGEST_OFFSET_HU = 50.0
FIELD_HU, FIELD_NODES = 25.0, 4
"""Density that varies slowly over a slice: lungs are denser at the back, emphysema comes in patches."""

LARGEST_NOISE_HU = 60.0
LARGEST_MAX_LIFT_HU = 120.0
"""Noise of a sharp kernel or a low dose lifts the maximum over many source voxels, but not their mean."""


def augment(
    hu: NDArray[np.int16], masks: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut a varied part out of each slice and of its mask.

    Parameters
    ----------
    hu : (n, 2, rows, columns) array of int16
        Channels ``mean`` and ``max`` in HU, rows as many as columns.
    masks : (n, rows, columns) array of uint8
        Class of each pixel, 0 to 2.
    size : int
        Rows and columns of a part.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    hu : (n, 2, size, size) array of float32
        Flipped, moved, scaled, sharpened, brightened and noised. A part smaller than the slice holds a pixel of a
        nodule if there is one.
    masks : (n, 2, size, size) array of float32
        Share of benign and of malignant nodule in each pixel.
    """
    centres = np.stack([_centre(mask, size, rng) for mask in masks])
    along_rows, along_columns = (_sampling(axis, hu.shape[-1], size, rng) for axis in centres.T)
    classes = np.stack([masks == 1, masks == 2], axis=1)
    planes = np.concatenate([hu.astype(np.float32) + 1024, classes.astype(np.float32)], axis=1)
    moved = along_rows[:, None] @ planes @ np.swapaxes(along_columns, 1, 2)[:, None]
    return _rescanned(moved[:, :2] - 1024, rng), moved[:, 2:]


def _centre(mask: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose the row and column that a part is cut around, near some nodule pixel or anywhere."""
    middle, room = (len(mask) - 1) / 2, 0.06 * len(mask) + (len(mask) - size) / 2
    nodule = np.argwhere(mask)
    if len(nodule) and size < len(mask):
        return np.asarray(nodule[rng.integers(len(nodule))] + rng.uniform(-0.35, 0.35, 2) * size, np.float64)
    return middle + rng.uniform(-room, room, 2)


def _sampling(centres: NDArray[np.float64], full: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make (n, size, full) matrices that cut, flip and scale one axis with linear interpolation; outside is 0."""
    scale = rng.uniform(*SCALES, len(centres)) * rng.choice([-1, 1], len(centres))
    return _interpolation(scale[:, None] * (np.arange(size) - (size - 1) / 2) + centres[:, None], full)


def _interpolation(positions: NDArray[np.float64], full: int) -> NDArray[np.float32]:
    """Make matrices that read an axis of `full` pixels at `positions`."""
    distance = np.abs(positions[..., None] - np.arange(full))
    return np.asarray(np.clip(1 - distance, 0, 1), np.float32)


def _rescanned(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change sharpness, gain, offset, density and noise of each slice, and lift its maximum as noise does."""
    n = len(hu)
    sharp = hu + rng.uniform(*SHARPNESS, (n, 1, 1, 1)).astype(np.float32) * (hu - _smoothed(hu))
    gain = rng.uniform(*GAINS, (n, 1, 1, 1))
    offset_hu = rng.uniform(-LARGEST_OFFSET_HU, LARGEST_OFFSET_HU, (n, 1, 1, 1)) + _field_hu(n, hu.shape[-1], rng)
    noise_hu = rng.uniform(0, LARGEST_NOISE_HU, (n, 1, 1, 1)) * rng.random((n, 1, 1, 1))
    lift_hu = np.concatenate([np.zeros((n, 1, 1, 1)), rng.uniform(0, LARGEST_MAX_LIFT_HU, (n, 1, 1, 1))], axis=1)
    noise = rng.standard_normal(hu.shape, dtype=np.float32) * noise_hu
    return np.asarray(np.clip(sharp * gain + offset_hu + lift_hu + noise, -1024, 3071), np.float32)


def _smoothed(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    for axis in (-2, -1):
        hu = np.asarray(np.roll(hu, 1, axis) + 2 * hu + np.roll(hu, -1, axis), np.float32) / np.float32(4)
    return hu


def _field_hu(n: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw (n, 1, size, size) smooth fields."""
    nodes = rng.normal(0, FIELD_HU, (n, 1, FIELD_NODES, FIELD_NODES)).astype(np.float32)
    along = _interpolation(np.linspace(0, FIELD_NODES - 1, size), FIELD_NODES)
    return np.asarray(along @ nodes @ along.T, np.float32)
