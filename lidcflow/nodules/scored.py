"""Candidates of a series with P(nodule) and P(malignant), without patches: small enough to send between processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector import Detector
from lidcflow.nodules.slice_scores import best_in_slices
from lidcflow.nodules.stored import StoredCandidates
from lidcflow.nodules.systems import MalignancyLike

PLACE = np.dtype([(name, "<f4") for name in ("z_mm", "row", "column", "diameter_mm")])
"""Location of a candidate, see `lidcflow.nodules.table.CANDIDATE`."""


@dataclass(frozen=True, eq=False)
class ScoredCandidates:
    """The candidates of a series, with the results of a detector.

    Attributes
    ----------
    places : (n,) array of PLACE
        Centre and extent of each.
    probability : (n,) array of float64
        P(nodule).
    malignant : (n,) array of float64
        P(malignant) of findings, by the middle slice of their cube; NaN for other candidates.
    """

    places: NDArray[np.void]
    probability: NDArray[np.float64]
    malignant: NDArray[np.float64]

    def in_slices(self, edges_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return what the candidates say of each slice.

        Parameters
        ----------
        edges_mm : (slices + 1,) array
            Edges of the slices, falling.

        Returns
        -------
        (slices, 2) array of float64
            P(nodule) of the best candidate, see `best_in_slices`, and P(malignant) of the most malignant finding; NaN
            in slices without one.
        """
        z_mm, diameter_mm = (self.places[name].astype(np.float64) for name in ("z_mm", "diameter_mm"))
        best = best_in_slices(edges_mm, z_mm, diameter_mm, self.probability)
        known = np.where(np.isnan(self.malignant), -1.0, self.malignant)
        malignant = best_in_slices(edges_mm, z_mm, diameter_mm, known, nothing=-1.0)
        return np.stack([best, np.where(malignant < 0, np.nan, malignant)], axis=1)


def score_candidates(
    stored: StoredCandidates, detector: Detector, malignancy: MalignancyLike | None = None, threshold: float = 1.0
) -> ScoredCandidates:
    """Return the candidates of a stored series with P(nodule), and with P(malignant) from a threshold on.

    Parameters
    ----------
    stored : StoredCandidates
        With cubes, if P(malignant) is asked for; candidates without a cube have none.
    detector : Detector
    malignancy : MalignancyLike, optional
        By default nobody says P(malignant).
    threshold : float
        P(nodule) from which a candidate is a finding.
    """
    places = np.empty(len(stored.table), PLACE)
    for name in PLACE.names or ():
        places[name] = stored.table[name]
    probability = _probability(stored, detector)
    malignant = np.full(len(probability), np.nan)
    if malignancy is not None and stored.cubes is not None:
        for candidate in np.flatnonzero(probability >= threshold).tolist():
            if cube := stored.cubes.of(candidate):
                diameter_mm = float(stored.table["diameter_mm"][candidate])
                malignant[candidate] = malignancy.answer(*cube, None, diameter_mm).probability
    return ScoredCandidates(places, probability, malignant)


def _probability(stored: StoredCandidates, detector: Detector) -> NDArray[np.float64]:
    """Return the stored results if they are of this very detector: that saves a second of each series."""
    if stored.scored and stored.scored["sha256"] == detector.sha256:
        return np.array(stored.scored["probability"], np.float64)
    return detector.probabilities(stored.patches, stored.table["score"])
