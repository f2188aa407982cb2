"""Metrics of predictions: figures over slices, sensitivity over nodules.

Every figure is NaN where the data do not define it, such as the AUROC of slices without a nodule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.slices import NoduleSlices

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

CLASSES = 3


@dataclass(frozen=True, eq=False)
class Study:
    """Predictions for one series, and its nodules.

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
    return auroc(p_nodule, np.asarray(labels) > 0)


def auroc(score: Floats, positive: NDArray[np.bool_], weights: Floats | None = None) -> float:
    """Return the area under the ROC curve.

    Parameters
    ----------
    score : (rows,) array
        Rises with the probability of a positive; ties count half.
    positive : (rows,) array of bool
        Which rows are positive.
    weights : (rows,) array, optional
        Weight of each row; by default all count the same.

    Returns
    -------
    float
        NaN without positives or without negatives.

    Examples
    --------
    >>> auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return math.nan
    if weights is not None:
        sklearn_metrics = import_module("sklearn.metrics")  # 1.5 s of CPU, which no training asks for
        return float(sklearn_metrics.roc_auc_score(positive, score, sample_weight=weights))
    if np.isnan(score).any():
        return math.nan
    # A bootstrap asks a thousand times: on 3,600 slices, 6% of them positive, ranks take 0.36 ms and counting 0.04 ms,
    # with the same digits, as both add up halves. Those of scikit-learn differ, and releases have stored these.
    negative, of_positive = np.sort(score[~positive]), score[positive]
    twice = sum(int(np.searchsorted(negative, of_positive, side).sum()) for side in ("left", "right"))
    return twice / 2 / (n_positive * n_negative)


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """Return the mean negative log probability of the true class; 0 is perfect.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    losses = log_losses(probabilities, labels)
    return float(losses.mean()) if losses.size else math.nan


def log_losses(probabilities: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return the negative log probability of the true class of each slice; large but finite where it is 0.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    true = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), np.asarray(labels)]
    return np.asarray(-np.log(true.clip(min=np.finfo(np.float64).tiny)))


def brier(probabilities: Floats, labels: Labels) -> float:
    """Return the mean squared distance of the probabilities from the truth; 0 is perfect, 2 the worst.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    errors = squared_errors(probabilities, labels)
    return float(errors.mean()) if errors.size else math.nan


def squared_errors(probabilities: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return the squared distance of the probabilities of each slice from the truth, 0 to 2.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    truth = np.eye(CLASSES)[np.asarray(labels)]
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """Return the share of slices whose most probable class is the true one.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    return float(hits(probabilities, labels).mean()) if len(labels) else math.nan


def hits(probabilities: Floats, labels: Labels) -> NDArray[np.bool_]:
    """Return for each slice whether its most probable class is the true one.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    return np.asarray(probabilities.argmax(axis=1) == labels)


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
    return found / total if total else math.nan
