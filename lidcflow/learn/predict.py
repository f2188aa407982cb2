"""Calibrated probabilities of every slice from the sector models of a release.

Models are called, whatever they are: importing this module does not import Keras.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.features import FeatureReader

HELD_BYTES = 64 * 2**20
"""Features in memory at once: 1,300 series of 65 x 384, or 7 of 65 x 32 x 32 x 64."""

MAPS_AT_ONCE = 4 * 2**20
"""Numbers of activation maps in one pass: 64 slices of 32 x 32 x 64."""


def release_probabilities(sectors: Sequence[tuple[range, Any]], features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Predict the slices of each sector with its own model.

    Parameters
    ----------
    sectors : sequence of (range, keras.Model or callable)
        Slices of each sector, from 0, and its model, or what `lidcflow.learn.arithmetic` makes of it; together they
        cover every slice once.
    features : (studies, slices, d) or (studies, slices, rows, columns, channels) array
        Features of whole volumes, or activation maps.

    Returns
    -------
    (studies, slices, 3) array of float64
        Calibrated P(non-nodule), P(benign), P(malignant).

    Raises
    ------
    ValueError
        If the sectors do not cover the slices of the features.
    """
    covered = [k for slices, _ in sectors for k in slices]
    if covered != list(range(features.shape[1])):
        raise ValueError(f"features: slices must be those of the sectors, {len(covered)}, got {features.shape[1]}")
    probabilities = np.empty((*features.shape[:2], 3))
    for slices, model in sectors:
        rows = features[:, slices.start : slices.stop].reshape(-1, *features.shape[2:])
        probabilities[:, slices.start : slices.stop] = outputs_of(model, rows).reshape(-1, len(slices), 3)
    return probabilities


def series_probabilities(
    sectors: Sequence[tuple[range, Any]], uids: Iterable[str], features_of: FeatureReader
) -> NDArray[np.float64]:
    """Predict stored series, as many at a time as memory is given for.

    Parameters
    ----------
    sectors : sequence of (range, keras.Model)
        Slices of each sector, from 0 and without gaps, and its model.
    uids : iterable of str
        SeriesInstanceUIDs.
    features_of : callable
        Reads the features of a series.

    Returns
    -------
    (series, slices of the sectors, 3) array of float64
        As `release_probabilities` gives them, in the order of the series.
    """
    first = sectors[0][0].start
    slices = range(first, sectors[-1][0].stop)
    models = [(range(of.start - first, of.stop - first), model) for of, model in sectors]
    answers: list[NDArray[np.float64]] = []
    held: list[NDArray[np.float16]] = []
    for uid in uids:
        held.append(features_of(uid, slices))
        if len(held) * held[0].nbytes >= HELD_BYTES:
            answers.append(release_probabilities(models, np.stack(held)))
            held = []
    if held:
        answers.append(release_probabilities(models, np.stack(held)))
    return np.concatenate(answers)


def member_probabilities(
    sectors: Sequence[tuple[range, Any]], uids: Sequence[str], members: Sequence[int], features_of: FeatureReader
) -> NDArray[np.float64]:
    """Predict stored series, each with the models of one fold alone.

    Parameters
    ----------
    sectors : sequence of (range, NumpyEnsemble)
        As for `series_probabilities`, of a release whose models average those of folds.
    uids : sequence of str
        SeriesInstanceUIDs.
    members : sequence of int
        Fold, from 0, whose models answer for each series: one that was not trained on its patient.
    features_of : callable
        Reads the features of a series.

    Returns
    -------
    (series, slices of the sectors, 3) array of float64
        In the order of the series.
    """
    parts, order = [], []
    for member in sorted(set(members)):
        chosen = [i for i, one in enumerate(members) if one == member]
        models = members_of(sectors, member)
        parts.append(series_probabilities(models, [uids[i] for i in chosen], features_of))
        order += chosen
    return np.concatenate(parts)[np.argsort(order)]


def members_of(sectors: Sequence[tuple[range, Any]], member: int) -> list[tuple[range, Any]]:
    """Return the sectors with the models of one fold, from 0, in place of the averaged ones."""
    return [(slices, model.members[member]) for slices, model in sectors]


def outputs_of(model: Any, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Apply a model to `(n, d)` features or `(n, rows, columns, channels)` maps, these a few at a time.

    A Keras model is called eagerly, as tracing a graph costs more than a head itself.
    """
    step = len(features) if features.ndim == 2 else max(1, MAPS_AT_ONCE // math.prod(features.shape[1:]))
    parts = [_outputs_of(model, features[start : start + step]) for start in range(0, len(features), max(1, step))]
    return np.concatenate(parts or [_outputs_of(model, features)])


def _outputs_of(model: Any, features: NDArray[np.floating]) -> NDArray[np.float32]:
    out: NDArray[np.float32] = np.asarray(model(features.astype(np.float32), training=False))
    return out
