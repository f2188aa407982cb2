"""Figures of slices: at the prevalence of the patients, and with the three classes weighted alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    precision_recall_fscore_support,
)

from lidcflow.stats.bootstrap import Floats, estimate, ranking_draws, ratio, sums_by_patient
from lidcflow.stats.calibration import BINS, calibration_bins
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.metrics import auroc

CLASS_KEYS = ("non_nodule", "benign", "malignant")
POSITIVE = {"nodule": (1, 2), "malignant": (2,)}


@dataclass(frozen=True, eq=False)
class Rows:
    """Slices of held-out studies, one a row.

    Parameters
    ----------
    labels, patients : (rows,) arrays of int
        Class and patient, both from 0.
    scores : dict of str to (rows,) array
        What ranks slices for ``nodule`` and for ``malignant``.
    probabilities : (rows, 3) array, optional
        Calibrated; None where there is a ranking only.
    """

    labels: NDArray[np.integer]
    patients: NDArray[np.integer]
    scores: dict[str, Floats]
    probabilities: Floats | None = None

    @classmethod
    def of(cls, probabilities: Floats, labels: NDArray[np.integer], patients: NDArray[np.integer]) -> Rows:
        """Take probabilities as they are, and rank by them."""
        p = np.asarray(probabilities, dtype=np.float64)
        return cls(labels, patients, {"nodule": p[:, 1] + p[:, 2], "malignant": p[:, 2]}, p)


def at_equal_shares(probabilities: Floats, shares: Floats) -> Floats:
    """Convert calibrated probabilities to equal prevalence of the three classes.

    Parameters
    ----------
    probabilities : (..., 3) array
    shares : (3,) array
        Class shares that they are calibrated for.

    References
    ----------
    Saerens, Latinne and Decaestecker, Neural Computation 14, 2002, equation 2.4.

    Examples
    --------
    >>> at_equal_shares(np.array([0.8, 0.1, 0.1]), np.array([0.8, 0.1, 0.1])).round(3)
    array([0.333, 0.333, 0.333])
    """
    moved = probabilities / shares
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True))


def slice_figures(rows: Rows, draws: Floats, *, balanced: bool) -> dict[str, Estimate]:
    """Compute the figures of slices, each with its interval.

    Parameters
    ----------
    rows : Rows
        The slices; for `balanced`, with probabilities from `at_equal_shares`.
    draws : (1 + resamples, patients) array
        From `draw_patients`.
    balanced : bool
        Weight slices so that each class that is there counts the same, in every draw anew.
    """
    weights = _class_weights(rows, draws, balanced)
    values = _points(rows, weights[0][rows.labels])
    resampled = _ranking(rows, draws, weights)
    if rows.probabilities is not None:
        resampled |= _called(rows, draws, weights) | _calibration(rows, draws, weights)
    return {name: estimate(drawn, values.get(name)) for name, drawn in resampled.items()}


def _class_weights(rows: Rows, draws: Floats, balanced: bool) -> Floats:
    if not balanced:
        return np.ones((len(draws), 3))
    counts = draws @ sums_by_patient(np.eye(3)[rows.labels], rows.patients, draws.shape[1])
    return np.nan_to_num(ratio(np.ones_like(counts), counts))


def _points(rows: Rows, weights: Floats) -> dict[str, float]:
    """Return scikit-learn's figure of the sample itself."""
    nodule = rows.labels > 0
    values = {}
    for name, score in rows.scores.items():
        truth = np.isin(rows.labels, POSITIVE[name])
        values[f"auroc_{name}"] = auroc(score, truth, weights)
        values[f"auprc_{name}"] = (
            average_precision_score(truth, score, sample_weight=weights) if truth.any() else np.nan
        )
    if rows.probabilities is not None:
        called = rows.probabilities.argmax(axis=1)
        p_nodule = rows.scores["nodule"].clip(0, 1)
        values["accuracy"] = accuracy_score(rows.labels, called, sample_weight=weights)
        values["brier_nodule"] = brier_score_loss(nodule, p_nodule, sample_weight=weights, pos_label=True)
        precision, recall, *_ = precision_recall_fscore_support(
            rows.labels, called, labels=[0, 1, 2], sample_weight=weights, zero_division=np.nan
        )
        values |= {f"precision_{key}": one for key, one in zip(CLASS_KEYS, precision, strict=True)}
        values |= {f"recall_{key}": one for key, one in zip(CLASS_KEYS, recall, strict=True)}
    return {name: float(value) for name, value in values.items()}


def _ranking(rows: Rows, draws: Floats, weights: Floats) -> dict[str, Floats]:
    figures: dict[str, Floats] = {}
    for name, score in rows.scores.items():
        auroc, auprc = ranking_draws(score, rows.labels, rows.patients, draws, weights, positive=POSITIVE[name])
        figures |= {f"auroc_{name}": auroc, f"auprc_{name}": auprc}
    return figures


def _called(rows: Rows, draws: Floats, weights: Floats) -> dict[str, Floats]:
    """Accuracy, precision and recall, from the confusion matrix of each patient."""
    pairs = np.zeros((len(rows.labels), 3, 3))
    pairs[np.arange(len(rows.labels)), rows.labels, np.asarray(rows.probabilities).argmax(axis=1)] = 1
    matrix = np.einsum("dp,ptc->dtc", draws, sums_by_patient(pairs, rows.patients, draws.shape[1]))
    matrix *= weights[:, :, None]
    right = np.einsum("dkk->dk", matrix)
    precision, recall = ratio(right, matrix.sum(axis=1)), ratio(right, matrix.sum(axis=2))
    figures = {"accuracy": ratio(right.sum(axis=1), matrix.sum(axis=(1, 2)))}
    figures |= {f"precision_{key}": precision[:, k] for k, key in enumerate(CLASS_KEYS)}
    return figures | {f"recall_{key}": recall[:, k] for k, key in enumerate(CLASS_KEYS)}


def _calibration(rows: Rows, draws: Floats, weights: Floats) -> dict[str, Floats]:
    """Brier score and expected calibration error of P(nodule)."""
    p, nodule = rows.scores["nodule"], (rows.labels > 0).astype(np.float64)
    of_class = np.eye(3)[rows.labels]
    total = _weighted_sum(of_class, rows, draws, weights)
    squared = _weighted_sum(of_class * ((p - nodule) ** 2)[:, None], rows, draws, weights)
    bins = np.eye(BINS)[calibration_bins(p)]
    excess = _weighted_sum(bins[:, :, None] * (of_class * (p - nodule)[:, None])[:, None, :], rows, draws, weights)
    return {"brier_nodule": ratio(squared, total), "ece_nodule": ratio(np.abs(excess).sum(axis=1), total)}


def _weighted_sum(values: Floats, rows: Rows, draws: Floats, weights: Floats) -> Floats:
    """Add up (rows, ..., classes) values in each draw, weighted by class: (draws, ...)."""
    sums = np.tensordot(draws, sums_by_patient(values, rows.patients, draws.shape[1]), axes=1)
    spread = weights.reshape(len(weights), *(1,) * (values.ndim - 2), 3)
    return np.asarray((sums * spread).sum(axis=-1))
