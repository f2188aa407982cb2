"""How good predictions are: figures over slices, sensitivity over nodules, intervals over patients.

Every figure is NaN where the data do not define it, such as the AUROC of slices without a nodule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lidcflow.labels.slices import NoduleSlices

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]
Group = TypeVar("Group")

RESAMPLES = 1000
CLASSES = 3


class Interval(NamedTuple):
    """Limits of a 95% interval."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Study:
    """What was predicted for one series, and the nodules in it.

    Attributes
    ----------
    p_nodule : (slices,) array
        Probability of a nodule, benign or malignant, top of the chest first.
    nodules : tuple of NoduleSlices
        From `lidcflow.labels.slices.nodule_slices`.
    """

    p_nodule: Floats
    nodules: tuple[NoduleSlices, ...]


def slice_auroc(p_nodule: Floats, labels: Labels) -> float:
    """Return the area under the ROC curve of slices with a nodule against slices without.

    Parameters
    ----------
    p_nodule : (slices,) array
        Probability of a nodule, or any score that rises with it; ties count half.
    labels : (slices,) array
        0 non-nodule, 1 benign, 2 malignant.
    """
    nodule = np.asarray(labels) > 0
    n_nodule, n_none = int(nodule.sum()), int((~nodule).sum())
    if n_nodule == 0 or n_none == 0:
        return float("nan")
    wins = rankdata(p_nodule)[nodule].sum() - n_nodule * (n_nodule + 1) / 2
    return float(wins / (n_nodule * n_none))


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """Return the mean negative log probability of the true class; 0 is perfect.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    true = _of_true_class(probabilities, labels)
    return float(-np.log(true.clip(min=np.finfo(np.float64).tiny)).mean()) if true.size else float("nan")


def brier(probabilities: Floats, labels: Labels) -> float:
    """Return the mean squared distance of the probabilities from the truth; 0 is perfect, 2 the worst.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    truth = np.eye(CLASSES)[np.asarray(labels)]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean()) if len(truth) else float("nan")


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """Return the share of slices whose most probable class is the true one.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    return float((probabilities.argmax(axis=1) == labels).mean()) if len(labels) else float("nan")


def confusion(probabilities: Floats, labels: Labels) -> NDArray[np.int64]:
    """Count slices by true class (rows) and most probable class (columns).

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array

    Returns
    -------
    (3, 3) array of int64
    """
    pairs = CLASSES * np.asarray(labels, dtype=np.int64) + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def highest_slices(p_nodule: Floats, n: int) -> NDArray[np.int64]:
    """Choose the n slices of a study with the highest probability; of equal ones, the upper.

    Parameters
    ----------
    p_nodule : (slices,) array
    n : int
        Slices to review.

    Returns
    -------
    (n,) array of int64
        Slices from 0, the most probable first.
    """
    return np.argsort(-np.asarray(p_nodule), kind="stable")[:n]


def sensitivity_at(
    studies: Sequence[Study], n: int, review: Callable[[Floats, int], NDArray[np.int64]] = highest_slices
) -> float:
    """Return the share of nodules that show in one of n reviewed slices of their study.

    Parameters
    ----------
    studies : sequence of Study
        One for each series.
    n : int
        Slices reviewed of each study.
    review : callable
        Chooses the n slices from a study's probabilities.

    Examples
    --------
    >>> study = Study(np.array([0.1, 0.9, 0.2]), (NoduleSlices(frozenset({0, 1}), 2), NoduleSlices(frozenset({2}), 1)))
    >>> sensitivity_at([study], n=1)
    0.5
    """
    found = total = 0
    for study in studies:
        reviewed = set(review(study.p_nodule, n).tolist())
        found += sum(not reviewed.isdisjoint(nodule.slices) for nodule in study.nodules)
        total += len(study.nodules)
    return found / total if total else float("nan")


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
        return Interval(float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(len(groups), size=(resamples, len(groups)))
    values = np.array([statistic([groups[patient] for patient in draw]) for draw in draws])
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, (0.025, 0.975))
    return Interval(float(low), float(high))


def _of_true_class(probabilities: Floats, labels: Labels) -> Floats:
    return np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), np.asarray(labels)]
