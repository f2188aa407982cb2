"""A forest of decision trees as plain arrays, without scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAF = -1
"""Marks a leaf in place of a feature."""

FOREST = ("roots", "feature", "threshold", "left", "right", "value")
"""Arrays of a forest: the node that each tree begins with; of each node the feature it asks for, the threshold, the
nodes for values up to it and above it, and the share of malignant nodules there."""


def forest_probability(forest: Mapping[str, NDArray[Any]], features: Floats) -> Floats:
    """Return the mean over all trees of the share of malignant nodules in a nodule's leaf.

    Parameters
    ----------
    forest : mapping of str to array
        See `FOREST`.
    features : (n, features) array
        Compared as float32, as scikit-learn does.

    Returns
    -------
    (n,) array of float64

    Examples
    --------
    >>> stump = {"roots": [0], "feature": [0, -1, -1], "threshold": [0.5, 0, 0], "left": [1, 1, 2], "right": [2, 1, 2]}
    >>> arrays = {name: np.array(values) for name, values in stump.items()} | {"value": np.array([0.5, 0.25, 1.0])}
    >>> forest_probability(arrays, np.array([[0.0], [1.0]]))
    array([0.25, 1.  ])
    """
    seen = features.astype(np.float32)
    node = np.repeat(forest["roots"][None, :], len(seen), axis=0)
    rows = np.arange(len(seen))[:, None]
    while (asked := forest["feature"][node]).max(initial=LEAF) > LEAF:
        low = seen[rows, asked] <= forest["threshold"][node]
        node = np.where(asked == LEAF, node, np.where(low, forest["left"][node], forest["right"][node]))
    return np.asarray(forest["value"][node].mean(axis=1), np.float64)


LEAST, MOST = 1e-3, 1 - 1e-3
"""Shares beyond count as these, so that their log odds stay finite."""


def log_odds(share: Floats) -> Floats:
    """Return the log odds of shares.

    Examples
    --------
    >>> log_odds(np.array([0.5, 1.0])).round(2)
    array([0.  , 6.91])
    """
    held = share.clip(LEAST, MOST)
    return np.asarray(np.log(held / (1 - held)))
