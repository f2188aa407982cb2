"""Views: variations of the slices of a training patient, the same each time they are made."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from lidcflow.config_finetune import FinetuneConfig
from lidcflow.ct.decode import AIR_HU
from lidcflow.learn.augment import rescaled


def view_of(hu: NDArray[np.int16], series_instance_uid: str, view: int, settings: FinetuneConfig) -> NDArray[np.int16]:
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
