"""Figures of a release or one sector on held-out patients at natural prevalence, beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.slices import NoduleSlices
from lidcflow.stats.bootstrap import estimate, percentile_interval, ratio, with_interval
from lidcflow.stats.estimate import ClassCounts, Estimate, SplitFigures
from lidcflow.stats.metrics import (
    CLASSES,
    Study,
    accuracy,
    auroc,
    brier,
    confusion,
    highest_slices,
    hits,
    log_loss,
    log_losses,
    sensitivity_at,
    slice_auroc,
    squared_errors,
)
from lidcflow.stats.paired import Sample, calibration_error_draws
from lidcflow.stats.patient_draws import PatientDraws

REVIEWED = (5, 10)
"""Slices of a study that a reader looks at, of 65 by default."""

Floats = NDArray[np.floating]

Labels = NDArray[np.integer]

Review = Callable[[Floats, int], NDArray[np.int64]]


def sector_prior(
    slice_indices: NDArray[np.integer], labels: NDArray[np.integer], sectors: Sequence[range]
) -> NDArray[np.float64]:
    """Predict each slice by the class shares of its sector in the training set.

    A sector's shares are drawn towards those of all sectors by the weight of one slice, so that no class
    gets probability 0.

    Parameters
    ----------
    slice_indices, labels : (rows,) arrays of int
        Training rows at natural prevalence: slice from 0, and class.
    sectors : sequence of range
        From `lidcflow.volume.sectors.sector_slices`.

    Returns
    -------
    (slices, 3) array of float64
        Probability of each class, the same for all studies.

    Examples
    --------
    >>> sector_prior(np.array([0, 1]), np.array([0, 2]), [range(0, 1), range(1, 2)])
    array([[0.7, 0.1, 0.2],
           [0.2, 0.1, 0.7]])
    """
    shares = (np.bincount(labels, minlength=3) + 1) / (len(labels) + 3)
    probabilities = np.empty((sectors[-1].stop, 3))
    for sector in sectors:
        inside = labels[(slice_indices >= sector.start) & (slice_indices < sector.stop)]
        probabilities[sector.start : sector.stop] = (np.bincount(inside, minlength=3) + shares) / (len(inside) + 1)
    return probabilities


def uniform_every_k(n_slices: int, n: int) -> NDArray[np.int64]:
    """Choose n slices at even steps, each in the middle of its part.

    Parameters
    ----------
    n_slices : int
        Slices of a volume.
    n : int
        Slices to review, at most `n_slices`.

    Returns
    -------
    (n,) array of int64
        Slices from 0, rising.

    Examples
    --------
    >>> uniform_every_k(65, 5)
    array([ 6, 19, 32, 45, 58])
    """
    return ((2 * np.arange(n, dtype=np.int64) + 1) * n_slices) // (2 * n)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The studies of one split.

    Attributes
    ----------
    patient_keys : (studies,) sequence of str
    labels : (studies, slices) array of int
        0 non-nodule, 1 benign, 2 malignant; top of the chest first.
    nodules : (studies,) sequence
        The nodules of each study, from `lidcflow.labels.slices.nodule_slices`.
    """

    patient_keys: Sequence[str]
    labels: Labels
    nodules: Sequence[Sequence[NoduleSlices]]


def held_out_figures(
    held_out: HeldOut, probabilities: Floats, prior: Floats, *, seed: int, resamples: int
) -> SplitFigures:
    """Compute the figures of a release and of both baselines on one split.

    Parameters
    ----------
    held_out : HeldOut
        The truth.
    probabilities : (studies, slices, 3) array
        Calibrated probabilities.
    prior : (slices, 3) array, or one for each study
        From `lidcflow.stats.held_out.sector_prior`.
    seed : int
        Of the bootstrap.
    resamples : int
        Draws of the bootstrap; 0 leaves the intervals out.
    """
    everywhere = np.broadcast_to(prior, probabilities.shape)
    drawn = PatientDraws.of(held_out.patient_keys, seed, resamples)
    return SplitFigures(
        patients=len(set(held_out.patient_keys)),
        series=len(held_out.labels),
        nodules=sum(map(len, held_out.nodules)),
        slices=ClassCounts.of(held_out.labels),
        release=_figures(held_out, probabilities, drawn, seed, resamples),
        sector_prior=_figures(held_out, everywhere, drawn, seed, resamples),
        uniform=_nodule_figures(held_out, probabilities, drawn, review=_uniform),
    )


def sector_figures(probabilities: Floats, labels: Labels) -> dict[str, Estimate]:
    """Compute the figures of the slices of one sector, without intervals.

    Parameters
    ----------
    probabilities : (slices, 3) array
    labels : (slices,) array
    """
    return {name: with_interval(figure(probabilities, labels)) for name, figure in SLICE_FIGURES.items()}


def auroc_nodule(probabilities: Floats, labels: Labels) -> float:
    """Return the AUROC of slices with a nodule against slices without."""
    return slice_auroc(probabilities[:, 1] + probabilities[:, 2], labels)


def auroc_malignant(probabilities: Floats, labels: Labels) -> float:
    """Return the AUROC of slices with a malignant nodule against all others."""
    return auroc(probabilities[:, 2], np.asarray(labels) == 2)


def balanced_accuracy(probabilities: Floats, labels: Labels) -> float:
    """Return the mean, over the classes that are there, of the share that is called right."""
    matrix = confusion(probabilities, labels)
    there = matrix.sum(axis=1)
    return float(np.mean(matrix.diagonal()[there > 0] / there[there > 0])) if there.any() else float("nan")


SLICE_FIGURES: dict[str, Callable[[Floats, Labels], float]] = {
    "auroc_nodule": auroc_nodule,
    "auroc_malignant": auroc_malignant,
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
}


def _figures(
    held_out: HeldOut, probabilities: Floats, drawn: PatientDraws, seed: int, resamples: int
) -> dict[str, Estimate]:
    sample = Sample.of(held_out.patient_keys, held_out.labels, seed=seed, resamples=resamples)
    calibration = {"ece_nodule": estimate(calibration_error_draws(np.asarray(probabilities, dtype=np.float64), sample))}
    of_slices = _slice_figures(held_out, probabilities, drawn)
    return of_slices | calibration | _nodule_figures(held_out, probabilities, drawn)


def _slice_figures(held_out: HeldOut, probabilities: Floats, drawn: PatientDraws) -> dict[str, Estimate]:
    rows, labels = probabilities.reshape(-1, CLASSES), held_out.labels.ravel()
    draws = _slice_draws(rows, labels, drawn.repeated(held_out.labels.shape[1]))
    return {name: _estimate(figure(rows, labels), draws[name]) for name, figure in SLICE_FIGURES.items()}


def _slice_draws(probabilities: Floats, labels: Labels, drawn: PatientDraws) -> dict[str, NDArray[np.float64]]:
    """Compute each of `SLICE_FIGURES` for each draw, as if the slices of the draw had been put together."""
    of_nodule = np.asarray(probabilities[:, 1] + probabilities[:, 2], dtype=np.float64)
    of_malignant = np.asarray(probabilities[:, 2], dtype=np.float64)
    pairs = np.eye(CLASSES**2)[CLASSES * labels + probabilities.argmax(axis=1)]
    matrices = drawn.sums(pairs).reshape(-1, CLASSES, CLASSES)
    there = matrices.sum(axis=2)
    right = np.where(there > 0, ratio(matrices.diagonal(axis1=1, axis2=2), there), 0)
    return {
        "auroc_nodule": drawn.auroc(of_nodule, labels, (1, 2)),
        "auroc_malignant": drawn.auroc(of_malignant, labels, (2,)),
        "log_loss": drawn.mean(log_losses(probabilities, labels)),
        "brier": drawn.mean(squared_errors(probabilities, labels)),
        "accuracy": drawn.mean(hits(probabilities, labels)),
        "balanced_accuracy": ratio(right.sum(axis=1), (there > 0).sum(axis=1)),
    }


def _nodule_figures(
    held_out: HeldOut, probabilities: Floats, drawn: PatientDraws, review: Review = highest_slices
) -> dict[str, Estimate]:
    studies = [
        Study(p[:, 1] + p[:, 2], tuple(nodules)) for p, nodules in zip(probabilities, held_out.nodules, strict=True)
    ]
    figures = {}
    for n in REVIEWED:
        counts = np.array([_found(study, n, review) for study in studies], dtype=np.int64).reshape(-1, 2)
        found, total = drawn.sums(counts).T
        figures[f"sensitivity_at_{n}"] = _estimate(sensitivity_at(studies, n, review), ratio(found, total))
    return figures


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    return with_interval(value, percentile_interval(draws))


def _found(study: Study, n: int, review: Review) -> tuple[int, int]:
    """Count the nodules of a study that n reviewed slices show, and all of them."""
    total = len(study.nodules)
    return (round(sensitivity_at([study], n, review) * total) if total else 0), total


def _uniform(p_nodule: Floats, n: int) -> NDArray[np.int64]:
    return uniform_every_k(len(p_nodule), n)
