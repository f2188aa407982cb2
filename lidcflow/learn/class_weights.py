"""How much a slice counts in training: the rarer its class, the more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = 3
MOST_WEIGHT = 10.0
"""Cap on the weight of a rare class over the most common one: a handful of slices must not outshout hundreds."""


def class_weights(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Weigh classes by their rarity, at most `MOST_WEIGHT` times the most common one.

    Parameters
    ----------
    labels : (n,) array of int
        Classes 0 to 2 of the training set, each present.

    Returns
    -------
    (3,) array
        Weights whose mean over `labels` is 1.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 1, 2])).tolist()
    [0.6666666666666666, 1.3333333333333333, 1.3333333333333333]
    """
    counts = np.bincount(labels, minlength=CLASSES)
    weights = np.minimum(counts.max() / counts, MOST_WEIGHT)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())
