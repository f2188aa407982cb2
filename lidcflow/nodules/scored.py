"""Candidates of a series with P(nodule), without their patches: small enough to be sent around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector import Detector
from lidcflow.nodules.slice_scores import best_in_slices
from lidcflow.nodules.stored import StoredCandidates

PLACE = np.dtype([(name, "<f4") for name in ("z_mm", "row", "column", "diameter_mm")])
"""Where a candidate is, see `lidcflow.nodules.table.CANDIDATE`."""


@dataclass(frozen=True, eq=False)
class ScoredCandidates:
    """The candidates of a series, and what a detector says of them.

    Attributes
    ----------
    places : (n,) array of PLACE
        Centre and extent of each.
    probability : (n,) array of float64
        P(nodule).
    """

    places: NDArray[np.void]
    probability: NDArray[np.float64]

    def best_in(self, edges_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of the best candidate in each slice, see `best_in_slices`."""
        z_mm, diameter_mm = (self.places[name].astype(np.float64) for name in ("z_mm", "diameter_mm"))
        return best_in_slices(edges_mm, z_mm, diameter_mm, self.probability)


def score_candidates(stored: StoredCandidates, detector: Detector) -> ScoredCandidates:
    """Return the candidates of a stored series with P(nodule)."""
    places = np.empty(len(stored.table), PLACE)
    for name in PLACE.names or ():
        places[name] = stored.table[name]
    return ScoredCandidates(places, _probability(stored, detector))


def _probability(stored: StoredCandidates, detector: Detector) -> NDArray[np.float64]:
    """Return what is stored where this very detector said it: that takes a second of each series less."""
    if stored.scored and stored.scored["sha256"] == detector.sha256:
        return np.array(stored.scored["probability"], np.float64)
    return detector.probabilities(stored.patches, stored.table["score"])
