"""Turn a head's logits into probabilities that mean the same in every sector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

SCALE_MEAN, SCALE_DEVIATION = 1.0, 0.5
OFFSET_DEVIATION = 1.0
LEAST_SCALE = 0.05
"""A scale of 0 would forget what the head has learnt, a negative one reverse it."""

LEAST_SHARE = 1e-4

BINS = 10
"""Bins of the calibration error, with equal numbers of slices: most slices are improbable, and bins of equal width
would put nearly all into one."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One scale for all logits and an offset for each class: a softmax of `scale * logits + offsets`."""

    scale: float
    offsets: tuple[float, float, float]


def prior_offsets(trained: Sequence[float], natural: Sequence[float]) -> tuple[float, float, float]:
    """Return what to add to the logits of a model trained on balanced classes, to be right at natural prevalence.

    Parameters
    ----------
    trained, natural : three numbers
        Slices of each class, or their shares: as the model learned from them, class weights included,
        and before balancing. A share below 0.0001 counts as that, so that the offsets stay finite.

    Returns
    -------
    three floats
        Log ratio of the class shares; zero when nothing was balanced.

    References
    ----------
    Saerens, Latinne and Decaestecker, Neural Computation 14, 2002, equation 2.4.

    Examples
    --------
    >>> prior_offsets([10, 10, 10], [1, 1, 1])
    (0.0, 0.0, 0.0)
    """
    ratio = np.log(_shares(natural)) - np.log(_shares(trained))
    return float(ratio[0]), float(ratio[1]), float(ratio[2])


def fit_calibration(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    prior_offsets: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Calibration:
    """Fit scale and offsets to validation slices at natural prevalence.

    The most probable values under a normal prior: scale around 1 (deviation 0.5), offsets around
    `prior_offsets` (deviation 1). Many slices overrule it; without any, it is the answer.

    Parameters
    ----------
    logits : (slices, 3) array
        The head's, before the softmax.
    labels : (slices,) array of int
        0 non-nodule, 1 benign, 2 malignant.
    prior_offsets : three floats
        From the function of that name.

    Returns
    -------
    Calibration
        Its scale is positive.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    logits = np.asarray(logits, dtype=np.float64).reshape(-1, 3)
    truth = np.eye(3)[np.asarray(labels, dtype=np.int64)]
    means = np.array([SCALE_MEAN, *prior_offsets])
    deviations = np.array([SCALE_DEVIATION, *[OFFSET_DEVIATION] * 3])

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = values[0] * logits + values[1:]
        z = (values - means) / deviations
        excess = softmax(scores, axis=1) - truth
        slope = np.array([(excess * logits).sum(), *excess.sum(axis=0)]) + z / deviations
        return float(z @ z / 2 - (truth * log_softmax(scores, axis=1)).sum()), slope

    bounds = [(LEAST_SCALE, None), *[(None, None)] * 3]
    scale, *offsets = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
    return Calibration(scale, (offsets[0], offsets[1], offsets[2]))


def apply(calibration: Calibration, logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return calibrated probabilities.

    Parameters
    ----------
    calibration : Calibration
        From `fit_calibration`.
    logits : (slices, 3) array
        The head's, before the softmax.

    Returns
    -------
    (slices, 3) array of float64
        Rows sum to 1.
    """
    scores = calibration.scale * np.asarray(logits, dtype=np.float64) + np.array(calibration.offsets)
    probabilities: NDArray[np.float64] = softmax(scores, axis=1)
    return probabilities


def calibration_bins(p_nodule: NDArray[np.floating]) -> NDArray[np.int64]:
    """Put slices into bins of equal numbers by probability; equal probabilities share a bin."""
    edges = np.unique(np.quantile(p_nodule, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, p_nodule, side="right").astype(np.int64)


class ReliabilityBin(NamedTuple):
    """Mean probability of a nodule in a bin, share of slices with a nodule, slices."""

    called: float
    there: float
    slices: int


def reliability(p_nodule: NDArray[np.floating], labels: NDArray[np.integer]) -> list[ReliabilityBin]:
    """Compare how probable a nodule was called with how often it is there, in the bins of the calibration error.

    Parameters
    ----------
    p_nodule : (slices,) array
        Calibrated probability of a nodule.
    labels : (slices,) array
        0 non-nodule, 1 benign, 2 malignant.

    Returns
    -------
    list of ReliabilityBin
        By rising probability; bins without slices are left out.

    Examples
    --------
    >>> reliability(np.array([0.25, 0.25, 0.5]), np.array([0, 1, 2]))
    [ReliabilityBin(called=0.25, there=0.5, slices=2), ReliabilityBin(called=0.5, there=1.0, slices=1)]
    """
    if not len(p_nodule):
        return []
    nodule, bins = labels > 0, calibration_bins(p_nodule)
    chosen = [bins == one for one in np.unique(bins)]
    return [ReliabilityBin(float(p_nodule[one].mean()), float(nodule[one].mean()), int(one.sum())) for one in chosen]


def _shares(counts: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(counts, dtype=np.float64)
    shares: NDArray[np.float64] = (values / values.sum()).clip(min=LEAST_SHARE)
    return shares
