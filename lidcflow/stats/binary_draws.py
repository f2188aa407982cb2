"""Log loss and calibration of P(malignant) over nodules, in every draw of patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import Floats, Interval, ratio, sums_by_patient
from lidcflow.stats.calibration import BINS, calibration_bins

Flags = NDArray[np.bool_]

LEAST_P = 1e-6
"""Probabilities of the true class below count as this, so that a loss stays finite."""


def binary_log_loss_draws(probability: Floats, positive: Flags, number: NDArray[np.integer], draws: Floats) -> Floats:
    """Return the mean negative log probability of the true class in each draw of patients.

    Parameters
    ----------
    probability, positive : (nodules,) arrays
    number : (nodules,) array of int
        Patient of each, from 0.
    draws : (1 + resamples, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`; row 0 is the sample.

    Examples
    --------
    >>> binary_log_loss_draws(np.array([0.5, 0.5]), np.array([True, False]), np.array([0, 0]), np.ones((1, 1))).round(3)
    array([0.693])
    """
    loss = -np.log(np.where(positive, probability, 1 - probability).clip(min=LEAST_P))
    sums = draws @ sums_by_patient(np.column_stack([loss, np.ones(len(loss))]), number, draws.shape[1])
    return ratio(sums[:, 0], sums[:, 1])


def binary_calibration_draws(
    probability: Floats, positive: Flags, number: NDArray[np.integer], draws: Floats
) -> Floats:
    """Return the expected calibration error in bins of equal numbers of nodules, in each draw of patients.

    Parameters
    ----------
    probability, positive, number, draws : arrays
        As of `binary_log_loss_draws`.
    """
    bins = np.eye(BINS)[calibration_bins(probability)]
    excess = draws @ sums_by_patient(bins * (probability - positive)[:, None], number, draws.shape[1])
    nodules = draws @ sums_by_patient(np.ones(len(positive)), number, draws.shape[1])
    return ratio(np.abs(excess).sum(axis=1), nodules)


def interval_at(values: Floats, level: float) -> Interval:
    """Return the percentile interval of a figure's draws at another level than 95%.

    Parameters
    ----------
    values : (1 + resamples,) array
        Row 0 is the sample; draws that do not define the figure are left out.
    level : float
        Share of the draws within.

    Examples
    --------
    >>> interval_at(np.array([9.0, 0.0, 1.0]), 0.5)
    Interval(low=0.25, high=0.75)
    """
    defined = values[1:][np.isfinite(values[1:])]
    if not defined.size:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high))
