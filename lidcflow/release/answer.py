"""The answer of a release for the slices of a series: its sector models, joined with the candidates in the slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.slice_scores import fit_join, join_slices
from lidcflow.release.record import DetectorPin, NodulePin
from lidcflow.stats.bootstrap import Floats


def answer_for_series(
    pin: NodulePin | None,
    sectors: NDArray[np.floating] | None,
    best: NDArray[np.floating] | None,
    *,
    unlike: bool = False,
) -> NDArray[np.floating]:
    """Return the probabilities of a series' slices.

    Parameters
    ----------
    pin : NodulePin, optional
        What the release pins for candidates; None leaves the sector models' probabilities as they are.
    sectors : (slices, 3) array, optional
        P(non-nodule), P(benign), P(malignant) by the sector models; None without them, where `pin` is needed.
    best : (slices,) array, optional
        P(nodule) of the best candidate in each slice; None where the series was not searched for candidates: what is
        known of its slices otherwise stands.
    unlike : bool
        Whether the series is unlike those that the sector models were trained on. They have no say then: the height in
        the chest stands in for them.

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
    by_sectors = sectors is not None and not unlike
    own = sectors if sectors is not None and by_sectors else np.array(pin.chest_height)
    weights = pin.with_sectors if by_sectors else pin.with_height
    return own if best is None else join_slices(own, best, weights)


def answers(
    pin: NodulePin | None,
    sectors: Floats,
    best: Sequence[NDArray[np.floating] | None],
    unlike: NDArray[np.bool_] | None = None,
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
    unlike : (series,) array of bool, optional
        Which series are unlike those of training; by default none.

    Returns
    -------
    (series, slices, 3) array
    """
    strange = np.zeros(len(sectors), bool) if unlike is None else unlike
    each = zip(sectors, best, strange.tolist(), strict=True)
    return np.stack([answer_for_series(pin, own, found, unlike=other) for own, found, other in each])


def findings_alone(pin: NodulePin, best: Sequence[NDArray[np.floating] | None]) -> Floats:
    """Return what a release would answer without its sector models, (series, slices, 3)."""
    return np.stack([answer_for_series(pin, None, found) for found in best])


def fit_pin(
    detector: DetectorPin,
    sectors: Floats,
    best: Sequence[NDArray[np.floating] | None],
    labels: NDArray[np.integer],
    chest_height: Floats,
) -> NodulePin | None:
    """Fit how a detector joins the sector models, and the height in the chest, on validation patients.

    Parameters
    ----------
    detector : DetectorPin
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
    heights = np.broadcast_to(chest_height, (len(searched), *chest_height.shape))
    return NodulePin(
        **detector.model_dump(include=set(DetectorPin.model_fields)),
        with_sectors=fit_join(sectors[searched].reshape(-1, 3), found, rows),
        with_height=fit_join(heights.reshape(-1, 3), found, rows),
        chest_height=tuple((float(none), float(benign), float(malignant)) for none, benign, malignant in chest_height),
    )
