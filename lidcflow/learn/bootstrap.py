"""95% intervals over patients, for all draws of the bootstrap at once.

No library resamples groups and reweights a figure instead of computing it anew: a figure of sums per patient is one
matrix product here, whatever the number of draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.release import Estimate

Floats = NDArray[np.float64]


def draw_patients(patients: int, *, seed: int, resamples: int) -> Floats:
    """Draw patients with replacement: slices of one patient are not independent.

    Parameters
    ----------
    patients : int
        Patients of the sample.
    seed : int
        Same seed, same draws.
    resamples : int
        Draws. With fewer than two patients there are none, as there is nothing to vary.

    Returns
    -------
    (1 + resamples, patients) array of float64
        How often each patient is in a draw; row 0 is the sample itself, each patient once.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    itself = np.ones((1, patients))
    if patients < 2:
        return itself
    shares = np.full(patients, 1 / patients)
    drawn = np.random.default_rng(seed).multinomial(patients, shares, size=resamples)
    return np.vstack([itself, drawn.astype(np.float64)])


def sums_by_patient(values: NDArray[np.generic], patients: NDArray[np.integer], count: int) -> Floats:
    """Add up the rows of each patient.

    Parameters
    ----------
    values : (rows, ...) array
    patients : (rows,) array of int
        Patient of each row, from 0.
    count : int
        Patients of the sample; one without rows gets 0.

    Returns
    -------
    (count, ...) array of float64

    Examples
    --------
    >>> sums_by_patient(np.array([1, 2, 4]), np.array([0, 2, 0]), 3)
    array([5., 0., 2.])
    """
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, patients, values)
    return sums


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide, NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def estimate(values: Floats, value: float | None = None) -> Estimate:
    """Return a figure with its 95% percentile interval.

    Parameters
    ----------
    values : (1 + resamples,) array
        The figure of each row of `draw_patients`; draws that do not define it are NaN and left out.
    value : float, optional
        The figure of the sample where a library computed it; by default that of row 0.
    """
    point = float(values[0]) if value is None else value
    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(point):
        return Estimate(value=None)
    if not defined.size:
        return Estimate(value=point)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Estimate(value=point, low=float(low), high=float(high))
