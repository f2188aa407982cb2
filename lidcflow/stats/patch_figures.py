"""Figures of scored patches: AUROC, and sensitivity at a specificity of 95%, with intervals over series."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import bootstrap_interval, by_patient, pooled, with_interval
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.metrics import auroc

SPECIFICITY = 0.95

Figure = Callable[..., float]


class PatchFigures(Record):
    """Figures of a score on patches, with 95% intervals over series.

    Attributes
    ----------
    patches, nodules, series : int
        Patches that were scored, those of them with a nodule, and the series they are from.
    auroc, sensitivity : Estimate
        The area under the ROC curve, and the sensitivity at `specificity`.
    specificity : float
    """

    patches: int
    nodules: int
    series: int
    auroc: Estimate
    sensitivity: Estimate
    specificity: float = SPECIFICITY


def patch_figures(
    score: NDArray[np.floating], nodule: NDArray[np.bool_], series: NDArray[np.str_], *, seed: int = 0
) -> PatchFigures:
    """Return the figures of a score.

    Parameters
    ----------
    score : (patches,) array
        Rises with the probability of a nodule.
    nodule : (patches,) array of bool
        Which patches show one.
    series : (patches,) array of str
        Series of each; patches of one series are not independent, so series are drawn.
    seed : int
        Of the bootstrap.
    """
    groups = by_patient(series, score, nodule)

    def with_limits(figure: Figure) -> Estimate:
        return with_interval(figure(score, nodule), bootstrap_interval(pooled(figure), groups, seed))

    return PatchFigures(
        patches=len(nodule),
        nodules=int(nodule.sum()),
        series=len(groups),
        auroc=with_limits(auroc),
        sensitivity=with_limits(sensitivity_at_specificity),
    )


def sensitivity_at_specificity(
    score: NDArray[np.floating], positive: NDArray[np.bool_], specificity: float = SPECIFICITY
) -> float:
    """Return the share of positives that score above the threshold which leaves `specificity` of the negatives below.

    Parameters
    ----------
    score : (rows,) array
    positive : (rows,) array of bool
    specificity : float

    Returns
    -------
    float
        NaN without positives or without negatives.

    Examples
    --------
    >>> score, positive = np.array([0.1, 0.2, 0.9, 0.15, 0.95]), np.array([0, 0, 0, 1, 1], bool)
    >>> sensitivity_at_specificity(score, positive, 0.5)
    0.5
    """
    others = np.sort(score[~positive])
    if not len(others) or not positive.any():
        return float("nan")
    return float((score[positive] > others[math.ceil(specificity * len(others)) - 1]).mean())
