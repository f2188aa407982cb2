"""Join what is known of a slice with the candidates in it: one calibrated probability for each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from lidcflow.labels.slices import LEAST_OVERLAP_MM
from lidcflow.nodules.join_weights import LEAST, MOST, JoinWeights

NOTHING_FOUND = 0.01
"""Score of a slice without any candidate."""

DEVIATIONS = np.array([1.0, 0.5, 0.5])
"""Width of the normal prior of bias and weights; the data of a few validation patients outweigh it."""


def best_in_slices(
    edges_mm: NDArray[np.floating],
    z_mm: NDArray[np.floating],
    diameter_mm: NDArray[np.floating],
    probability: NDArray[np.floating],
    *,
    nothing: float = NOTHING_FOUND,
) -> NDArray[np.float64]:
    """Return the probability of the best candidate in each slice.

    Parameters
    ----------
    edges_mm : (slices + 1,) array
        Edges of the slices, falling: top of the chest first.
    z_mm, diameter_mm, probability : (candidates,) arrays
        Centre, extent and P(nodule) of each candidate.
    nothing : float
        What counts in slices without a better candidate.

    Returns
    -------
    (slices,) array of float64

    Examples
    --------
    >>> best_in_slices(np.array([30.0, 20, 10, 0]), np.array([18.0]), np.array([6.0]), np.array([0.7]))
    array([0.7 , 0.7 , 0.01])
    """
    radius_mm = diameter_mm / 2
    above = np.minimum.outer(edges_mm[:-1], z_mm + radius_mm)
    below = np.maximum.outer(edges_mm[1:], z_mm - radius_mm)
    inside = above - below > LEAST_OVERLAP_MM
    best: NDArray[np.float64] = np.where(inside, probability, nothing).max(axis=1, initial=nothing)
    return best


def join_slices(
    probabilities: NDArray[np.floating], candidates: NDArray[np.floating], weights: JoinWeights
) -> NDArray[np.float64]:
    """Join each slice's own probabilities with its best candidate's; benign and malignant keep their ratio.

    Parameters
    ----------
    probabilities : (..., slices, 3) array
        P(non-nodule), P(benign), P(malignant), of sector models or of the chest-height prior.
    candidates : (..., slices) array
        From `best_in_slices`.
    weights : JoinWeights
        From `fit_join`, or by Bayes' rule.

    Returns
    -------
    (..., slices, 3) array of float64
        Rows sum to 1.
    """
    own = np.asarray(probabilities, dtype=np.float64)
    nodule = joined(own[..., 1:].sum(axis=-1), candidates, weights)
    kinds = np.maximum(own[..., 1:], LEAST / 2)
    shares = kinds / kinds.sum(axis=-1, keepdims=True)
    return np.concatenate([1 - nodule[..., None], nodule[..., None] * shares], axis=-1)


def joined(own: NDArray[np.floating], candidates: NDArray[np.floating], weights: JoinWeights) -> NDArray[np.float64]:
    """Return two probabilities of the same thing as one.

    Parameters
    ----------
    own, candidates : (...) arrays
        The slices' own probabilities and those of the candidates in them.
    weights : JoinWeights
    """
    found: NDArray[np.float64] = expit(
        _terms(own, candidates) @ np.array([weights.bias, weights.slices, weights.candidates])
    )
    return found


def fit_join(
    probabilities: NDArray[np.floating], candidates: NDArray[np.floating], labels: NDArray[np.integer]
) -> JoinWeights:
    """Fit the weights to slices of validation patients at natural prevalence.

    The most probable values under a normal prior around those of Bayes' rule. Many slices overrule it; without any,
    it is the answer. A weight below zero would turn evidence into its opposite: it becomes zero.

    Parameters
    ----------
    probabilities : (slices, 3) array
        The slices' own.
    candidates : (slices,) array
        From `best_in_slices`.
    labels : (slices,) array of int
        0 non-nodule, 1 benign, 2 malignant.
    """
    return fit_weights(np.asarray(probabilities, np.float64)[:, 1:].sum(axis=-1), candidates, np.asarray(labels) > 0)


def fit_weights(
    own: NDArray[np.floating], candidates: NDArray[np.floating], positive: NDArray[np.bool_], *, expected: float = 0.1
) -> JoinWeights:
    """Fit how two probabilities of the same thing are joined.

    Parameters
    ----------
    own, candidates : (n,) arrays
        The slices' own probabilities and those of the candidates in them.
    positive : (n,) array of bool
        What is true.
    expected : float
        Share of what is true that one slice more would have, which rules where there are none.
    """
    terms = _terms(own, candidates)
    start = JoinWeights.independent(float((positive.sum() + expected) / (len(positive) + 1)))
    means = np.array([start.bias, start.slices, start.candidates])

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores, z = terms @ values, (values - means) / DEVIATIONS
        surprise = np.logaddexp(0, np.where(positive, -scores, scores)).sum()
        return float(surprise + z @ z / 2), (expit(scores) - positive) @ terms + z / DEVIATIONS

    bounds = [(None, None), (0, None), (0, None)]
    bias, slices, best = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
    return JoinWeights(bias=bias, slices=slices, candidates=best)


def _terms(own: NDArray[np.floating], candidates: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what the weights multiply: 1 and the two logits, (..., 3)."""
    first, second = (logit(np.asarray(one, np.float64).clip(LEAST, MOST)) for one in (own, candidates))
    return np.stack([np.ones_like(first), first, second], axis=-1)
