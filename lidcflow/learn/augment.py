"""Variations of training slices: which part is seen, how large, and how a scanner would have seen it."""

import numpy as np
from numpy.typing import NDArray

from lidcflow.ct.decode import AIR_HU, HIGHEST_HU

SCALES = (0.9, 1.1)
GAINS = (0.95, 1.05)
LARGEST_OFFSET_HU = 50.0
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
        Flipped, moved, scaled, brightened and noised. A part smaller than the slice holds a pixel of a
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
    positions = scale[:, None] * (np.arange(size) - (size - 1) / 2) + centres[:, None]
    distance = np.abs(positions[:, :, None] - np.arange(full))
    return np.asarray(np.clip(1 - distance, 0, 1), np.float32)


def _rescanned(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change gain, offset and noise of each slice, and lift its maximum as noise does."""
    n = len(hu)
    gain = rng.uniform(*GAINS, (n, 1, 1, 1))
    offset_hu = rng.uniform(-LARGEST_OFFSET_HU, LARGEST_OFFSET_HU, (n, 1, 1, 1))
    noise_hu = rng.uniform(0, LARGEST_NOISE_HU, (n, 1, 1, 1)) * rng.random((n, 1, 1, 1))
    lift_hu = np.concatenate([np.zeros((n, 1, 1, 1)), rng.uniform(0, LARGEST_MAX_LIFT_HU, (n, 1, 1, 1))], axis=1)
    noise = rng.standard_normal(hu.shape, dtype=np.float32) * noise_hu
    return rescaled(hu, gain, offset_hu, lift_hu, noise)


def rescaled(
    hu: NDArray[np.float32], gain: float | NDArray[np.float64], *added_hu: float | NDArray[np.floating]
) -> NDArray[np.float32]:
    """Stretch Hounsfield units about water, add to them in turn, and keep them within their range.

    Parameters
    ----------
    hu : array of any shape
        Radiodensity in HU.
    gain : float or array
        Factor.
    *added_hu : float or array
        HU to add.
    """
    changed = hu * gain
    for one_hu in added_hu:
        changed = changed + one_hu
    return np.asarray(np.clip(changed, AIR_HU, HIGHEST_HU), np.float32)
