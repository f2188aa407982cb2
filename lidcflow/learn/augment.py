"""Variations of training slices: which part is seen, how large, and how a scanner would have recorded it."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from lidcflow.config.science import FinetuneConfig
from lidcflow.pixels.hounsfield import AIR_HU, HIGHEST_HU

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


def variation_of(
    hu: NDArray[np.int16], series_instance_uid: str, view: int, settings: FinetuneConfig
) -> NDArray[np.int16]:
    """Vary every slice of a volume: rotated a little, brighter or darker, mirrored if the settings say so.

    Chance comes from the seed of the settings, the series, the view and the slice: who makes a view, where and when,
    does not matter.

    Parameters
    ----------
    hu : (2, slices, rows, columns) array of int16
        Channels ``mean`` and ``max`` in HU.
    series_instance_uid : str
        Whose volume it is.
    view : int
        From 1.
    settings : FinetuneConfig
        How far a view may go.

    Returns
    -------
    (2, slices, rows, columns) array of int16
        HU within [-1024, 3071]; what was turned in from outside is air.
    """
    return np.stack(
        [
            _varied(hu[:, place], _chance(settings.view_seed, series_instance_uid, view, place), settings)
            for place in range(hu.shape[1])
        ],
        axis=1,
    )


def _chance(*of: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(str(part) for part in of).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _varied(hu: NDArray[np.int16], rng: np.random.Generator, settings: FinetuneConfig) -> NDArray[np.int16]:
    """Vary one (2, rows, columns) slice; every draw is made, so that one setting does not change another's."""
    degrees = rng.uniform(-settings.rotate_degrees, settings.rotate_degrees)
    gain = 1 + rng.uniform(-settings.gain, settings.gain)
    offset_hu = rng.uniform(-settings.offset_hu, settings.offset_hu)
    mirrored = rng.random() < 0.5 and settings.flip == "left-right"
    turned = np.stack([_rotated(plane, degrees) for plane in hu.astype(np.float32)])
    scaled = rescaled(turned[..., ::-1] if mirrored else turned, gain, offset_hu)
    return np.rint(scaled).astype(np.int16)


def _rotated(plane: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Rotate a plane about its centre with linear interpolation."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(plane.shape) - 1) / 2
    return np.asarray(affine_transform(plane, turn, middle - turn @ middle, order=1, cval=AIR_HU), np.float32)
