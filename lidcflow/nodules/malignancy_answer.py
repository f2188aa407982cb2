"""Result of a malignancy system for a nodule, and in what the nodule is unlike the training nodules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIZE, TEXTURE = "size", "texture"
"""Codes of what lies outside of the nodules that a system was trained on."""

LEAST_FEATURES = 2
"""Features beyond their ranges from which the texture counts as unknown."""

WITHIN = (0.5, 99.5)
"""Percentiles of the nodules trained on between which size and texture count as known."""


@dataclass(frozen=True)
class MalignancyAnswer:
    """The result of a system for a nodule.

    Attributes
    ----------
    probability : float
        P(malignant), calibrated: that readers' mean rating reaches the system's threshold.
    outside : tuple of str
        ``size``, ``texture``: in what the nodule is unlike those that the system was trained on.
    """

    probability: float
    outside: tuple[str, ...]


def calibrated(score: Floats, calibration: Mapping[str, float]) -> Floats:
    """Turn scores into probabilities.

    Examples
    --------
    >>> calibrated(np.array([3.0]), {"intercept": -6.0, "slope": 2.0})
    array([0.5])
    """
    return np.asarray(np.exp(-np.logaddexp(0, -(calibration["intercept"] + calibration["slope"] * score))))


def unknown_texture(qif: Floats, ranges: Mapping[str, Sequence[Sequence[float]]]) -> NDArray[np.bool_]:
    """Return whether the texture of nodules is unlike that of those trained on.

    Parameters
    ----------
    qif : (n, 40) array
        From `lidcflow.nodules.malignancy_features.quantitative_features`.
    ranges : mapping
        Of a card; ``texture`` holds the least and the most of each feature.
    """
    least, most = np.array(ranges[TEXTURE]).T
    return np.asarray(((qif < least) | (qif > most)).sum(axis=1) >= LEAST_FEATURES)


def ranges_of(size_mm: Floats, qif: Floats) -> dict[str, list[list[float]] | list[float]]:
    """Return the ranges of nodules that a system is trained on, for its card.

    Parameters
    ----------
    size_mm : (n,) array
    qif : (n, 40) array
    """
    return {
        SIZE: np.percentile(size_mm, WITHIN).round(2).tolist(),
        TEXTURE: np.percentile(qif, WITHIN, axis=0).T.round(4).tolist(),
    }
