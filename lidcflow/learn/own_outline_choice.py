"""Judge a segmenter of one's own by validation patients: its outlines beside those of the embedded one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.own_choice import Choice
from lidcflow.learn.own_outlines import JudgedNodule
from lidcflow.nodules.outline import outline_of
from lidcflow.nodules.segmenter import Segmenter
from lidcflow.stats.bootstrap import RESAMPLES, bootstrap_interval, by_patient, pooled, with_interval
from lidcflow.stats.estimate import Estimate


@dataclass(frozen=True)
class OutlineScore:
    """Agreement of an outline with the readers': Dice, and the error of the long axis in mm."""

    dice: float
    long_axis_error_mm: float


def score_outline(segmenter: Segmenter, nodule: JudgedNodule) -> OutlineScore:
    """Score a segmenter's outline of a nodule; one without outline has Dice 0 and the whole axis as error.

    Parameters
    ----------
    segmenter : Segmenter
    nodule : JudgedNodule
        With a mask that can be measured.
    """
    found = outline_of(segmenter.probabilities(nodule.hu[None], [nodule.voxel_mm])[0], nodule.voxel_mm)
    truth = outline_of(nodule.mask.astype(np.float32), nodule.voxel_mm)
    axis_mm = truth.long_axis_mm if truth else 0.0
    if found is None:
        return OutlineScore(0.0, axis_mm)
    common = 2 * int((found.mask & nodule.mask).sum())
    dice = common / (int(found.mask.sum()) + int(nodule.mask.sum()))
    return OutlineScore(dice, abs(found.long_axis_mm - axis_mm))


def choose_segmenter(own: Segmenter, embedded: Segmenter, nodules: Iterable[JudgedNodule], *, seed: int) -> Choice:
    """Compare a segmenter with the embedded one on nodules of validation patients, paired.

    It is better if its mean Dice is higher in 95% of the draws of patients.

    Parameters
    ----------
    own, embedded : Segmenter
    nodules : iterable of JudgedNodule
        Of at least two patients.
    seed : int
        Of the draws.
    """
    keys, scores = [], []
    for one in nodules:
        keys.append(one.patient_key)
        scores.append((score_outline(own, one), score_outline(embedded, one)))
    values = {
        name: np.array([[getattr(score, name) for score in pair] for pair in scores])
        for name in ("dice", "long_axis_error_mm")
    }
    figures = outline_choice_figures(values["dice"], values["long_axis_error_mm"], np.array(keys), seed=seed)
    return _chosen(figures, len(scores), len(set(keys)))


def outline_choice_figures(
    dice: NDArray[np.float64], error_mm: NDArray[np.float64], patients: NDArray[np.str_], *, seed: int
) -> dict[str, Estimate]:
    """Return the figures of two segmenters on the same nodules.

    Parameters
    ----------
    dice, error_mm : (nodules, 2) arrays
        Of the own and the embedded one.
    patients : (nodules,) array of str
    seed : int
        Of the draws.
    """

    def estimated(figure: Callable[..., float], values: NDArray[np.float64]) -> Estimate:
        interval = bootstrap_interval(pooled(figure), by_patient(patients, values), seed, RESAMPLES)
        return with_interval(figure(values), interval)

    names = ("", "_embedded")
    figures = {f"dice{name}": estimated(_mean, dice[:, i]) for i, name in enumerate(names)}
    figures |= {f"long_axis_error_mm{name}": estimated(_median, error_mm[:, i]) for i, name in enumerate(names)}
    return figures | {"dice_difference": estimated(_mean, dice[:, 0] - dice[:, 1])}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _chosen(figures: dict[str, Estimate], nodules: int, patients: int) -> Choice:
    difference = figures["dice_difference"]
    own = (difference.low or 0.0) > 0
    verdict = "better than the embedded one" if own else "not surely better than the embedded one, which is kept"
    reason = (
        f"the segmenter trained on this store was {verdict}, on {nodules} nodules of {patients} validation patients: "
        f"Dice {figures['dice']} against {figures['dice_embedded']}, difference {difference}; median error of the long "
        f"axis {figures['long_axis_error_mm']} mm against {figures['long_axis_error_mm_embedded']} mm"
    )
    return Choice(own=own, reason=reason, figures=figures)
