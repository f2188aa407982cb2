"""Draw probabilities towards a prior, the more the further images are from those of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

LEAST = 1e-9
"""A probability below this counts as this, so that its logit is finite."""


def widen(probabilities: NDArray[np.floating], prior: Sequence[float], temperature: float) -> NDArray[np.float64]:
    """Divide the evidence in the probabilities of slices by a temperature.

    The evidence of a slice is what its logit adds to that of the prior: ``prior + (own - prior) / temperature``, for
    P(nodule), and for P(malignant) among nodules. Slices keep their order by P(nodule).

    Parameters
    ----------
    probabilities : (..., 3) array of float
        P(non-nodule), P(benign), P(malignant).
    prior : three floats
        The same of a slice of which nothing is known, such as the natural shares of the classes.
    temperature : float
        1 leaves the probabilities as they are; infinity makes them the prior.

    Returns
    -------
    (..., 3) array of float64
        Rows sum to 1.

    Raises
    ------
    ValueError
        If the temperature is below 1: that would narrow.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2, whose temperature is the same for
    all inputs and draws towards equal shares.

    Examples
    --------
    >>> widen(np.array([[0.001, 0.0, 0.999]]), (0.9, 0.05, 0.05), 8.0).round(2)
    array([[0.74, 0.02, 0.24]])
    """
    if not temperature >= 1:
        raise ValueError(f"temperature: must be at least 1, got {temperature:g}")
    nodule, malignant = _logits(np.asarray(probabilities, dtype=np.float64))
    prior_nodule, prior_malignant = _logits(np.asarray(prior, dtype=np.float64))
    p_nodule = expit(prior_nodule + (nodule - prior_nodule) / temperature)
    p_malignant = expit(prior_malignant + (malignant - prior_malignant) / temperature)
    return np.stack([1 - p_nodule, p_nodule * (1 - p_malignant), p_nodule * p_malignant], axis=-1)


def _logits(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits of P(nodule), and of P(malignant) among nodules."""
    non_nodule, benign, malignant = np.moveaxis(np.maximum(probabilities, LEAST), -1, 0)
    return -logit((non_nodule / (non_nodule + benign + malignant)).clip(LEAST, 1 - LEAST)), np.log(malignant / benign)
