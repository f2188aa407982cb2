"""The network of NoduleX as plain NumPy: two convolutions, 64 features, a logit. It is trained in Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector_network import convolve
from lidcflow.nodules.window import windowed

Floats = NDArray[np.float32]

GAIN, OFFSET = 4.0, -2.0
"""The network sees shares of the window times 4 less 2."""

CONVOLUTIONS = ("first", "second")


def block_images(block: NDArray[np.int16]) -> Floats:
    """Return blocks as the network sees them.

    Parameters
    ----------
    block : (n, slices, rows, columns) array of int16
        HU.

    Returns
    -------
    (n, rows, columns, slices) array of float32
        From 0 (air) to 1.
    """
    return np.asarray(np.moveaxis(windowed(block), 1, -1) / np.float32(255), np.float32)


def nodulex_features(weights: Mapping[str, NDArray[Any]], images: Floats) -> Floats:
    """Return what the network finds in images.

    Parameters
    ----------
    weights : mapping of str to array
        ``first/kernel`` of (3, 3, slices, filters), ``second/kernel``, ``features/kernel`` of (maps, 64), each with
        its ``bias``.
    images : (n, rows, columns, slices) array of float32
        From `block_images`.

    Returns
    -------
    (n, 64) array of float32
    """
    maps = images * np.float32(GAIN) + np.float32(OFFSET)
    for layer in CONVOLUTIONS:
        maps = _halved(
            np.maximum(convolve(maps, weights[f"{layer}/kernel"], 1)[:, 1:-1, 1:-1] + weights[f"{layer}/bias"], 0)
        )
    flat = maps.reshape(len(maps), -1)
    return np.asarray(np.maximum(flat @ weights["features/kernel"] + weights["features/bias"], 0), np.float32)


def nodulex_logits(weights: Mapping[str, NDArray[Any]], features: Floats) -> Floats:
    """Return the logit of each nodule from its features, (n,)."""
    return np.asarray((features @ weights["logit/kernel"] + weights["logit/bias"])[:, 0])


def _halved(maps: Floats) -> Floats:
    """Return the maximum of 2 x 2 pixels; a last odd row or column is left out, as Keras does."""
    n, rows, columns, filters = maps.shape
    even = maps[:, : rows // 2 * 2, : columns // 2 * 2]
    return np.asarray(even.reshape(n, rows // 2, 2, columns // 2, 2, filters).max(axis=(2, 4)))
