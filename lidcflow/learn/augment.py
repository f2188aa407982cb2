"""Variations of training slices: where things lie, how large they are, and how a scanner would have seen them."""

import numpy as np
from numpy.typing import NDArray

LARGEST_SHIFT = 0.06
"""Of the image's width, each way."""

SCALES = (0.9, 1.1)
GAINS = (0.95, 1.05)
LARGEST_OFFSET_HU = 50.0
LARGEST_NOISE_HU = 60.0
LARGEST_MAX_LIFT_HU = 120.0
"""Noise of a sharp kernel or a low dose lifts the maximum over many source voxels, but not their mean."""


def augment(
    hu: NDArray[np.int16], masks: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vary slices and move their masks along.

    Parameters
    ----------
    hu : (n, 2, rows, columns) array of int16
        Channels ``mean`` and ``max`` in HU, rows as many as columns.
    masks : (n, rows, columns) array of uint8
        Class of each pixel, 0 to 2.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    hu : (n, 2, rows, columns) array of float32
        Flipped, moved, scaled, brightened and noised.
    masks : (n, 2, rows, columns) array of float32
        Share of benign and of malignant nodule in each pixel.
    """
    along_rows, along_columns = _sampling(len(hu), hu.shape[-1], rng), _sampling(len(hu), hu.shape[-1], rng)
    classes = np.stack([masks == 1, masks == 2], axis=1)
    planes = np.concatenate([hu.astype(np.float32) + 1024, classes.astype(np.float32)], axis=1)
    moved = along_rows[:, None] @ planes @ np.swapaxes(along_columns, 1, 2)[:, None]
    return _rescanned(moved[:, :2] - 1024, rng), moved[:, 2:]


def _sampling(n: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make (n, size, size) matrices that flip, scale and shift one axis with linear interpolation; outside is 0."""
    scale = rng.uniform(*SCALES, n) * rng.choice([-1, 1], n)
    centre = (size - 1) / 2
    shift = centre + rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, n) * size
    positions = scale[:, None] * (np.arange(size) - centre) + shift[:, None]
    distance = np.abs(positions[:, :, None] - np.arange(size))
    return np.asarray(np.clip(1 - distance, 0, 1), np.float32)


def _rescanned(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change gain, offset and noise of each slice, and lift its maximum as noise does."""
    n = len(hu)
    gain = rng.uniform(*GAINS, (n, 1, 1, 1))
    offset_hu = rng.uniform(-LARGEST_OFFSET_HU, LARGEST_OFFSET_HU, (n, 1, 1, 1))
    noise_hu = rng.uniform(0, LARGEST_NOISE_HU, (n, 1, 1, 1)) * rng.random((n, 1, 1, 1))
    lift_hu = np.concatenate([np.zeros((n, 1, 1, 1)), rng.uniform(0, LARGEST_MAX_LIFT_HU, (n, 1, 1, 1))], axis=1)
    noise = rng.standard_normal(hu.shape, dtype=np.float32) * noise_hu
    return np.asarray(np.clip(hu * gain + offset_hu + lift_hu + noise, -1024, 3071), np.float32)
