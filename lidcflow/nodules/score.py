"""Score candidates by their shape: a small ensemble of trees, fitted on real nodules, run as plain NumPy.

The weights lie beside this module; `lidcflow.nodules.fit` fits such trees on the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.table import MASS, feature_matrix

DEPTH = 3

MASS_AIR = (0.25, 0.5)
"""Share of air around a mass from which it counts, and what is added until it counts whole: the heart has less."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees of depth `DEPTH`, each node before its two children.

    Parameters
    ----------
    feature : (trees, 7) array of int16
        Column that a node asks for.
    threshold : (trees, 7) array of float32
        Up to that, the first child is next; infinite where a branch is shorter.
    value : (trees, 8) array of float32
        What a leaf adds to the log odds.
    start : float
        Log odds before the first tree.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    value: NDArray[np.float32]
    start: float

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Add up the leaves that each row of features reaches."""
        total = np.full(len(features), self.start)
        rows = np.arange(len(features))
        for feature, threshold, value in zip(self.feature, self.threshold, self.value, strict=True):
            node = np.zeros(len(features), np.intp)
            for _ in range(DEPTH):
                node = 2 * node + 1 + (features[rows, feature[node]] > threshold[node])
            total += value[node - len(feature)]
        return total

    def saved(self) -> bytes:
        """Return the content of a file, the same for the same trees."""
        content = BytesIO()
        arrays: tuple[NDArray[Any], ...] = (self.feature, self.threshold, self.value, np.array(self.start))
        for array in arrays:
            np.save(content, array, allow_pickle=False)
        return content.getvalue()

    @classmethod
    def loaded(cls, content: bytes) -> Self:
        """Read what `saved` wrote."""
        stream = BytesIO(content)
        feature, threshold, value, start = (np.load(stream, allow_pickle=False) for _ in range(4))
        return cls(feature, threshold, value, float(start))


@cache
def embedded_trees() -> Trees:
    """Return the trees that ship in the package."""
    return Trees.loaded(files("lidcflow.nodules").joinpath("score.trees").read_bytes())


def nodule_score(table: NDArray[np.void]) -> NDArray[np.float32]:
    """Score candidates between 0 and 1 by their features, on one scale for all channels.

    Parameters
    ----------
    table : (n,) array of CANDIDATE
        With its features.

    Returns
    -------
    (n,) array of float32
        Probability of a nodule among the blobs that it was fitted on, which is no probability in a chest.
    """
    probability = 1 / (1 + np.exp(-embedded_trees().log_odds(feature_matrix(table))))
    least, range_ = MASS_AIR
    airy = np.clip((table["raw_shell_air"] - least) / range_, 0, 1) ** 2
    return np.where(table["channel"] == MASS, probability * airy, probability).astype(np.float32)
