"""95% intervals over patients by the bootstrap.

No library resamples groups and reweights a figure instead of computing it anew: a figure of sums per patient is one
matrix product over `draw_patients`, whatever the number of draws. Any other figure is computed anew for each of
`drawn_groups`. The two draw from different streams, and stored figures exist of both: the draws stay as they are.

Both are sums over the positive slices of what scores above or below each. How many slices of each patient and class do
is counted once; a draw only weights the counts. Ties are exact, as in scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.estimate import Estimate
from lidcflow.stats.metrics import CLASSES

Floats = NDArray[np.float64]
Group = TypeVar("Group")

RESAMPLES = 1000
"""Draws of the bootstrap."""


Counts = NDArray[np.float32]
"""Whole numbers below 2**24, which float32 holds exactly, at half the cost of a product in float64."""


class Interval(NamedTuple):
    """Limits of a 95% interval; NaN where nothing defines them."""

    low: float
    high: float


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
    if not np.isfinite(point):
        return Estimate(value=None)
    return with_interval(point, percentile_interval(values[1:]))


def with_interval(value: float, interval: Interval | None = None) -> Estimate:
    """Return a figure with its interval, None for what is not defined."""
    low, high = interval if interval and np.isfinite(interval).all() else (None, None)
    return Estimate(value=value if np.isfinite(value) else None, low=low, high=high)


def percentile_interval(values: Floats) -> Interval:
    """Return the 95% percentile interval of a figure's draws; those that do not define the figure are left out.

    Examples
    --------
    >>> percentile_interval(np.array([0.0, 1.0, np.nan]))
    Interval(low=0.025, high=0.975)
    """
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Interval(float(low), float(high))


def by_patient(
    patient_keys: Sequence[str] | NDArray[np.str_], *columns: NDArray[Any]
) -> list[tuple[NDArray[Any], ...]]:
    """Group rows by patient, for `bootstrap_interval`.

    Parameters
    ----------
    patient_keys : (rows,) sequence of str
    *columns : (rows, ...) arrays

    Returns
    -------
    list of tuple of (rows of the patient, ...) arrays
        One tuple for each patient, ordered by key.
    """
    keys = np.asarray(patient_keys, dtype=str)
    return [tuple(column[keys == key] for column in columns) for key in np.unique(keys)]


def pooled(figure: Callable[..., float]) -> Callable[[list[tuple[NDArray[Any], ...]]], float]:
    """Turn a figure of arrays into a statistic of patients: their rows are put together.

    Examples
    --------
    >>> patients = [(np.array([0.9]), np.array([1])), (np.array([0.2]), np.array([0]))]
    >>> from lidcflow.stats.metrics import slice_auroc
    >>> pooled(slice_auroc)(patients)
    1.0
    """
    return lambda groups: figure(*(np.concatenate(column) for column in zip(*groups, strict=True)))


def bootstrap_interval(
    statistic: Callable[[list[Group]], float], groups: Sequence[Group], seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Return the 95% percentile interval of a statistic, patients drawn with replacement.

    Slices of a patient are not independent, so patients are drawn, never slices. Draws for which the
    statistic is not defined are left out.

    Parameters
    ----------
    statistic : callable
        Takes a list of groups.
    groups : sequence
        One for each patient, whatever the statistic takes: see `by_patient`.
    seed : int
        Same seed, same interval.
    resamples : int
        Draws.

    Returns
    -------
    Interval
        NaN with fewer than two patients, or where no draw defines the statistic.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if len(groups) < 2:
        return Interval(math.nan, math.nan)
    return percentile_interval(np.array([statistic(drawn) for drawn in drawn_groups(groups, seed, resamples)]))


def drawn_groups(groups: Sequence[Group], seed: int, resamples: int) -> Iterator[list[Group]]:
    """Draw patients with replacement, as many as there are, and yield what is known of those drawn.

    Parameters
    ----------
    groups : sequence
        One for each patient.
    seed : int
        Same seed, same draws for the same number of patients.
    resamples : int
        Draws.
    """
    for draw in _drawn(len(groups), seed, resamples):
        yield [groups[patient] for patient in draw]


def drawn_counts(patients: int, seed: int, resamples: int) -> Floats:
    """Count how often each patient is in each draw of `drawn_groups`.

    Returns
    -------
    (resamples, patients) array of float64
        No rows with fewer than two patients, as there is nothing to vary.

    Examples
    --------
    >>> list(drawn_groups(["a", "b", "c"], seed=1, resamples=2))
    [['b', 'b', 'c'], ['c', 'a', 'a']]
    >>> drawn_counts(3, seed=1, resamples=2)
    array([[0., 2., 1.],
           [2., 0., 1.]])
    """
    if patients < 2:
        return np.empty((0, patients))
    counts = np.zeros((resamples, patients))
    np.add.at(counts, (np.arange(resamples)[:, None], _drawn(patients, seed, resamples)), 1)
    return counts


def _drawn(patients: int, seed: int, resamples: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(patients, size=(resamples, patients))


def ranking_draws(
    score: Floats,
    labels: NDArray[np.integer],
    patients: NDArray[np.integer],
    draws: Floats,
    class_weights: Floats,
    *,
    positive: Sequence[int],
) -> tuple[Floats, Floats]:
    """Compute AUROC (ties count half) and average precision for each draw of patients.

    Parameters
    ----------
    score : (rows,) array
        Rises with the probability of a positive.
    labels, patients : (rows,) arrays of int
        Class and patient of each slice.
    draws : (draws, patients) array
        From `draw_patients`.
    class_weights : (draws, 3) array
        Weight of a slice of each class.
    positive : sequence of int
        Classes that are positive.

    Returns
    -------
    two (draws,) arrays
        NaN for a draw without positives; AUROC also for one without negatives.
    """
    chosen = np.flatnonzero(np.isin(labels, positive))
    if not chosen.size:
        return np.full(len(draws), np.nan), np.full(len(draws), np.nan)
    at_least, above = _counts(score, labels, patients, score[chosen], draws.shape[1])
    of_class = sums_by_patient(np.eye(CLASSES)[labels], patients, draws.shape[1])
    beaten = of_class.T[:, None, :] - (at_least + above) / 2
    present = (draws @ of_class) * class_weights
    negative = [label for label in range(CLASSES) if label not in positive]
    pairs = present[:, list(positive)].sum(axis=1) * present[:, negative].sum(axis=1)
    won = _won(beaten[negative], labels[chosen], patients[chosen], draws, class_weights, negative)
    precision = _precision_sum(at_least, labels[chosen], patients[chosen], draws, class_weights, positive)
    return ratio(won, pairs), ratio(precision, present[:, list(positive)].sum(axis=1))


def _won(
    beaten: Floats,
    labels: NDArray[np.integer],
    patients: NDArray[np.integer],
    draws: Floats,
    class_weights: Floats,
    negative: Sequence[int],
) -> Floats:
    """Add up the pairs of a positive and a negative in the right order: a quadratic form of the patients drawn."""
    won = np.zeros(len(draws))
    for label in np.unique(labels):
        own = labels == label
        for of_class, counts in zip(negative, beaten, strict=True):
            by_pair = sums_by_patient(counts[own], patients[own], draws.shape[1])
            form = np.einsum("dp,dp->d", draws @ by_pair, draws)
            won += class_weights[:, label] * class_weights[:, of_class] * form
    return won


def _precision_sum(
    at_least: Counts,
    labels: NDArray[np.integer],
    patients: NDArray[np.integer],
    draws: Floats,
    class_weights: Floats,
    positive: Sequence[int],
) -> Floats:
    """Add up, over the positives of each draw, the precision among all that score at least as high."""
    drawn, weights = draws.astype(np.float32), class_weights.astype(np.float32)
    alike = bool((class_weights == 1).all())
    true = _reached(at_least[list(positive)], drawn, weights[:, list(positive)], alike)
    negative = [label for label in range(CLASSES) if label not in positive]
    total = true + _reached(at_least[negative], drawn, weights[:, negative], alike)
    precision = np.divide(true, total, out=np.zeros_like(true), where=total > 0)
    own = drawn[:, patients] if alike else drawn[:, patients] * weights[:, labels]
    return np.asarray(np.einsum("dn,dn->d", own, precision), dtype=np.float64)


def _reached(counts: Counts, draws: Counts, weights: Counts, alike: bool) -> Counts:
    """Weigh (classes, positives, patients) counts: (draws, positives)."""
    if alike:
        return np.asarray(draws @ counts.sum(axis=0).T)
    parts = [weights[:, label, None] * (draws @ of_class.T) for label, of_class in enumerate(counts)]
    return np.asarray(sum(parts))


def _counts(
    score: Floats, labels: NDArray[np.integer], patients: NDArray[np.integer], at: Floats, count: int
) -> tuple[Counts, Counts]:
    """Count the slices of each class and patient that score at least, and more than, each of `at`."""
    shape = (CLASSES, count, len(at))
    at_least, above = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    order = np.lexsort((score, patients, labels))
    groups = labels[order].astype(np.int64) * count + patients[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    values, back = np.unique(at, return_inverse=True)
    for scores, group in zip(np.split(score[order], starts[1:]), groups[starts].tolist(), strict=True):
        label, patient = divmod(group, count)
        at_least[label, patient] = (len(scores) - np.searchsorted(scores, values, side="left"))[back]
        above[label, patient] = (len(scores) - np.searchsorted(scores, values, side="right"))[back]
    return at_least.transpose(0, 2, 1), above.transpose(0, 2, 1)
