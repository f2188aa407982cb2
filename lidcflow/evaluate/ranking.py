"""AUROC and average precision of every bootstrap draw, from counts per patient.

Both are sums over the positive slices of what lies above or below each. How many slices of each patient and class do
is counted once; a draw only weights the counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.evaluate.bootstrap import Floats, ratio, sums_by_patient

CLASSES = 3
DRAWS_AT_ONCE = 128
"""Limits memory: a positive slice takes 8 bytes in each draw."""


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
        NaN for a draw without positives, or without negatives.
    """
    chosen = np.flatnonzero(np.isin(labels, positive))
    if not chosen.size:
        return np.full(len(draws), np.nan), np.full(len(draws), np.nan)
    at_least, above = _counts(score, labels, patients, score[chosen], draws.shape[1])
    of_positive = np.isin(np.arange(CLASSES), positive)
    parts = []
    for start in range(0, len(draws), DRAWS_AT_ONCE):
        chunk, weights = draws[start : start + DRAWS_AT_ONCE], class_weights[start : start + DRAWS_AT_ONCE]
        own = chunk[:, patients[chosen]] * weights[:, labels[chosen]]
        present = _weighted(chunk, _totals(labels, patients, draws.shape[1]), weights)[:, 0]
        reached = _weighted(chunk, at_least, weights)
        passed = _weighted(chunk, above, weights)
        parts.append(_areas(own, present, reached, passed, of_positive))
    auroc, precision = np.concatenate(parts, axis=1)
    return auroc, precision


def _areas(
    own: Floats, present: Floats, reached: Floats, passed: Floats, of_positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return AUROC and average precision; arrays are (draws, positives[, classes]) weights."""
    negatives = present[:, ~of_positive].sum(axis=1)
    positives = own.sum(axis=1)
    beaten = negatives[:, None] - (reached + passed)[..., ~of_positive].sum(axis=2) / 2
    precision = np.nan_to_num(ratio(reached[..., of_positive].sum(axis=2), reached.sum(axis=2)))
    return np.stack(
        [ratio((own * beaten).sum(axis=1), positives * negatives), ratio((own * precision).sum(axis=1), positives)]
    )


def _weighted(draws: Floats, counts: Floats, class_weights: Floats) -> Floats:
    """Turn (positives, patients, classes) counts into (draws, positives, classes) weights."""
    weighted = np.einsum("dp,npc->dnc", draws, counts, optimize=True) * class_weights[:, None, :]
    return np.asarray(weighted)


def _totals(labels: NDArray[np.integer], patients: NDArray[np.integer], count: int) -> Floats:
    return sums_by_patient(np.eye(CLASSES)[labels], patients, count)[None]


def _counts(
    score: Floats, labels: NDArray[np.integer], patients: NDArray[np.integer], at: Floats, count: int
) -> tuple[Floats, Floats]:
    """Count the slices of each patient and class that score at least, and more than, each of `at`."""
    at_least, above = np.zeros((len(at), count, CLASSES)), np.zeros((len(at), count, CLASSES))
    for patient in range(count):
        for label in range(CLASSES):
            scores = np.sort(score[(patients == patient) & (labels == label)])
            at_least[:, patient, label] = len(scores) - np.searchsorted(scores, at, side="left")
            above[:, patient, label] = len(scores) - np.searchsorted(scores, at, side="right")
    return at_least, above
