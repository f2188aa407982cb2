"""Features of the slices of one series: one pass through the frozen backbone, whatever is trained on them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.backbones import Backbone
from lidcflow.learn.inputs import model_input

if TYPE_CHECKING:
    import keras

__all__ = ["model_input", "series_features"]

BATCH_PIXELS = 65 * 128 * 128
"""Pixels in one pass: a default volume at once (some 100 MiB of activations), larger ones in parts."""


def series_features(model: "keras.Model", hu: NDArray[np.int16], backbone: Backbone) -> NDArray[np.float16]:
    """Compute the features of every slice of a volume.

    Parameters
    ----------
    model : keras.Model
        From `lidcflow.learn.backbones.load_backbone`.
    hu : (2, slices, rows, columns) array of int16
        Channels ``mean`` and ``max`` in HU.
    backbone : Backbone
        What `model` is.

    Returns
    -------
    (slices, feature_dim) array of float16
        Features, in the order of the slices.

    Raises
    ------
    ValueError
        If the slices don't have the size of the backbone.
    """
    if hu.shape[2:] != (backbone.size, backbone.size):
        raise ValueError(
            f"features: slices must be {backbone.size} x {backbone.size} pixels for {backbone.id}, got {hu.shape[2:]}"
        )
    step = max(1, BATCH_PIXELS // backbone.size**2)
    parts = [
        model.predict_on_batch(model_input(hu[:, start : start + step], backbone.input))
        for start in range(0, hu.shape[1], step)
    ]
    return np.concatenate(parts).astype(np.float16)
