"""The answer of a release for the slices of a series: its sector models, joined with the candidates in the slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.malignant_slices import fit_malignancy, with_malignancy
from lidcflow.nodules.slice_scores import fit_join, join_slices
from lidcflow.release.pins import FindingPin, NodulePin

Floats = NDArray[np.float64]

NODULE, MALIGNANT = range(2)
"""Columns of what the candidates say of slices."""


def answer_for_series(
    pin: NodulePin | None,
    sectors: NDArray[np.floating] | None,
    best: NDArray[np.floating] | None,
) -> NDArray[np.floating]:
    """Return the probabilities of a series' slices.

    Parameters
    ----------
    pin : NodulePin, optional
        What the release pins for candidates; None leaves the sector models' probabilities as they are.
    sectors : (slices, 3) array, optional
        P(non-nodule), P(benign), P(malignant) by the sector models; without them `pin` is needed, and the height in the
        chest stands in for them.
    best : (slices, 2) array, optional
        What the candidates say of each slice, from `lidcflow.nodules.scored.ScoredCandidates.in_slices`; None where the
        series was not searched for candidates: what is known of its slices otherwise stands.

    Returns
    -------
    (slices, 3) array

    Raises
    ------
    ValueError
        If there is neither a pin nor an answer of sector models.
    """
    if pin is None:
        if sectors is None:
            raise ValueError("answer: a release must have sector models or pin a detector, got neither")
        return sectors
    own, weights, malignant = (
        (np.array(pin.chest_height), pin.with_height, pin.malignant_with_height)
        if sectors is None
        else (sectors, pin.with_sectors, pin.malignant_with_sectors)
    )
    if best is None:
        return own
    joined = join_slices(own, best[:, NODULE], weights)
    return joined if malignant is None else with_malignancy(joined, best[:, MALIGNANT], malignant)


class UnlikeTraining(NamedTuple):
    """Series that are unlike those that a release was trained on: the embedded release answers for them.

    Parameters
    ----------
    series : (series,) array of bool
        Which of several series they are.
    pin : NodulePin
        Of the embedded release.
    best : (series,) sequence
        By its detector, as for `answer_for_series`; those of other series are not read.
    """

    series: NDArray[np.bool_]
    pin: NodulePin
    best: Sequence[NDArray[np.floating] | None]


def answers(
    pin: NodulePin | None,
    sectors: Floats,
    best: Sequence[NDArray[np.floating] | None],
    unlike: UnlikeTraining | None = None,
) -> Floats:
    """Return the probabilities of the slices of several series.

    Parameters
    ----------
    pin : NodulePin, optional
        As for `answer_for_series`.
    sectors : (series, slices, 3) array
        By the sector models.
    best : (series,) sequence
        As for `answer_for_series`.
    unlike : UnlikeTraining, optional
        Series that are unlike those of training; by default none.

    Returns
    -------
    (series, slices, 3) array
    """
    return joined_answers([pin] * len(sectors), sectors, best, unlike)


def joined_answers(
    pins: Sequence[NodulePin | None],
    sectors: Floats,
    best: Sequence[NDArray[np.floating] | None],
    unlike: UnlikeTraining | None = None,
) -> Floats:
    """Return the probabilities of the slices of several series, each joined by a pin of its own.

    Parameters
    ----------
    pins : (series,) sequence
        As `pin` for `answer_for_series`: in a cross-validation each fold has one.
    sectors, best, unlike
        As for `answers`.

    Returns
    -------
    (series, slices, 3) array
    """
    parts = zip(pins, sectors, best, strict=True)
    answered = np.stack([answer_for_series(pin, own, found) for pin, own, found in parts])
    if unlike is not None:
        for i in np.flatnonzero(unlike.series).tolist():
            answered[i] = answer_for_series(unlike.pin, None, unlike.best[i])
    return answered


def findings_alone(pin: NodulePin, best: Sequence[NDArray[np.floating] | None]) -> Floats:
    """Return what a release would answer without its sector models, (series, slices, 3)."""
    return np.stack([answer_for_series(pin, None, found) for found in best])


def fit_pin(
    detector: FindingPin,
    sectors: Floats,
    best: Sequence[NDArray[np.floating] | None],
    labels: NDArray[np.integer],
    chest_height: Floats,
) -> NodulePin | None:
    """Fit how a detector joins the sector models, and the height in the chest, on validation patients.

    Parameters
    ----------
    detector : FindingPin
        Whose probabilities `best` are.
    sectors : (series, slices, 3) array
        Of the sector models.
    best : (series,) sequence
        As for `answer_for_series`.
    labels : (series, slices) array of int
        0 non-nodule, 1 benign, 2 malignant.
    chest_height : (slices, 3) array
        From `lidcflow.stats.height_prior.height_prior`, by the labels of the training patients.

    Returns
    -------
    NodulePin, or None
        None where no series has candidates: there is nothing to fit.
    """
    searched = [i for i, one in enumerate(best) if one is not None]
    if not searched:
        return None
    found, rows = np.concatenate([one for one in best if one is not None]), labels[searched].ravel()
    heights = np.broadcast_to(chest_height, (len(searched), *chest_height.shape)).reshape(-1, 3)
    own = sectors[searched].reshape(-1, 3)
    return NodulePin(
        **detector.model_dump(include=set(FindingPin.model_fields)),
        with_sectors=fit_join(own, found[:, NODULE], rows),
        with_height=fit_join(heights, found[:, NODULE], rows),
        malignant_with_sectors=fit_malignancy(own, found[:, MALIGNANT], rows),
        malignant_with_height=fit_malignancy(heights, found[:, MALIGNANT], rows),
        chest_height=tuple((float(none), float(benign), float(malignant)) for none, benign, malignant in chest_height),
    )
