"""AUROC and average precision of every bootstrap draw, from counts per patient.

Both are sums over the positive slices of what scores above or below each. How many slices of each patient and class do
is counted once; a draw only weights the counts. Ties are exact, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.bootstrap import Floats, ratio, sums_by_patient

CLASSES = 3
Counts = NDArray[np.float32]
"""Whole numbers below 2**24, which float32 holds exactly, at half the cost of a product in float64."""


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
