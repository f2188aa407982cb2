"""Calibrated probabilities of every slice from the sector models of a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import keras


def release_probabilities(sectors: Sequence[tuple[range, Any]], features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Let the model of each sector answer for its own slices.

    Parameters
    ----------
    sectors : sequence of (range, keras.Model)
        Slices of each sector, from 0, and its model; together they cover every slice once.
    features : (studies, slices, d) array
        Features of whole volumes.

    Returns
    -------
    (studies, slices, 3) array of float64
        Calibrated P(non-nodule), P(benign), P(malignant).

    Raises
    ------
    ValueError
        If the sectors do not cover the slices of the features.
    """
    covered = [k for slices, _ in sectors for k in slices]
    if covered != list(range(features.shape[1])):
        raise ValueError(f"features: slices must be those of the sectors, {len(covered)}, got {features.shape[1]}")
    probabilities = np.empty((*features.shape[:2], 3))
    for slices, model in sectors:
        rows = features[:, slices.start : slices.stop].reshape(-1, features.shape[2])
        probabilities[:, slices.start : slices.stop] = outputs_of(model, rows).reshape(-1, len(slices), 3)
    return probabilities


def outputs_of(model: Any, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Apply a head to `(n, d)` features; called eagerly, as tracing a graph costs more than the head itself."""
    out: NDArray[np.float32] = keras.ops.convert_to_numpy(model(features.astype(np.float32), training=False))
    return out
