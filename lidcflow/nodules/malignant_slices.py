"""P(malignant) of slices: the slice models' estimate, joined with that of the findings in the slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.join_weights import LEAST, JoinWeights
from lidcflow.nodules.slice_scores import fit_weights, joined


def with_malignancy(
    probabilities: NDArray[np.floating], malignant: NDArray[np.floating], weights: JoinWeights
) -> NDArray[np.floating]:
    """Return the probabilities of slices with P(malignant) of the findings in them; P(nodule) of each slice stays.

    Parameters
    ----------
    probabilities : (..., slices, 3) array
        P(non-nodule), P(benign), P(malignant).
    malignant : (..., slices) array
        P(malignant), if it is a nodule, of the most malignant finding; NaN in slices without one, which stay as they
        are.
    weights : JoinWeights
        From `fit_malignancy`, or `FINDINGS_ALONE`.

    Returns
    -------
    (..., slices, 3) array
        Rows sum as before.
    """
    nodule = np.asarray(probabilities[..., 1:].sum(axis=-1), np.float64)
    share = _share(probabilities)
    found = np.where(np.isnan(malignant), share, joined(share, np.nan_to_num(malignant), weights))
    malignant_slices = nodule * found
    return np.stack([probabilities[..., 0], nodule - malignant_slices, malignant_slices], axis=-1)


def fit_malignancy(
    probabilities: NDArray[np.floating], malignant: NDArray[np.floating], labels: NDArray[np.integer]
) -> JoinWeights:
    """Fit the weights to the nodule slices of validation patients that hold a finding.

    Parameters
    ----------
    probabilities : (slices, 3) array
        The slices' own.
    malignant : (slices,) array
        As for `with_malignancy`.
    labels : (slices,) array of int
        0 non-nodule, 1 benign, 2 malignant.
    """
    used = (np.asarray(labels) > 0) & ~np.isnan(malignant)
    return fit_weights(_share(probabilities[used]), malignant[used], np.asarray(labels)[used] > 1, expected=0.5)


def _share(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return P(malignant) of slices if they hold a nodule."""
    nodule = np.asarray(probabilities[..., 1:].sum(axis=-1), np.float64)
    return np.asarray(probabilities[..., 2], np.float64) / np.maximum(nodule, LEAST)
