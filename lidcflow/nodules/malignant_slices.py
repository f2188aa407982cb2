"""P(malignant) of slices that no sector model answers for: that of the findings in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Finding
from lidcflow.nodules.join_weights import LEAST, MOST
from lidcflow.nodules.slice_scores import best_in_slices


def with_malignancy(
    probabilities: NDArray[np.floating],
    findings: Sequence[Finding],
    edges_mm: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Return the probabilities of slices with P(malignant) of the findings in them; P(nodule) of each slice stays.

    Parameters
    ----------
    probabilities : (slices, 3) array
        P(non-nodule), P(benign), P(malignant).
    findings : sequence of Finding
        Those with P(malignant) count; the most malignant one of a slice.
    edges_mm : (slices + 1,) array
        Edges of the slices, falling.

    Returns
    -------
    (slices, 3) array
        Rows sum as before.
    """
    known = [found for found in findings if found.malignant is not None]
    if not known:
        return probabilities
    z_mm, diameter_mm, malignant = np.array([(f.z_mm, f.diameter_mm, f.malignant) for f in known], np.float64).T
    share = best_in_slices(edges_mm, z_mm, diameter_mm, malignant.clip(LEAST, MOST), nothing=0.0)
    nodule = np.asarray(probabilities[:, 1:].sum(axis=1), np.float64)
    prior = np.asarray(probabilities[:, 2], np.float64) / np.maximum(nodule, LEAST)
    share = np.where(share > 0, share, prior)
    malignant_slices = nodule * share
    return np.stack([probabilities[:, 0], nodule - malignant_slices, malignant_slices], axis=1)
