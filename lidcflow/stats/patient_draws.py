"""Figures of all draws of a bootstrap at once: patients are added up once, and each draw weighs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import drawn_counts, ranking_draws, ratio, sums_by_patient
from lidcflow.stats.metrics import CLASSES

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatientDraws:
    """Draws of the patients of some rows; the figures are those of the rows of each draw put together.

    Attributes
    ----------
    patients : (rows,) array of int
        Patient of each row, from 0.
    counts : (draws, patients) array
        From `lidcflow.stats.bootstrap.drawn_counts`.
    """

    patients: NDArray[np.int64]
    counts: Floats

    @classmethod
    def of(cls, patient_keys: Sequence[str], seed: int, resamples: int) -> PatientDraws:
        """Draw the patients of rows, in the order of their keys."""
        names, patients = np.unique(np.asarray(patient_keys, dtype=str), return_inverse=True)
        return cls(patients, drawn_counts(len(names), seed, resamples))

    def repeated(self, times: int) -> PatientDraws:
        """Return the same draws for rows that each stand for several, as studies for their slices."""
        return PatientDraws(np.repeat(self.patients, times), self.counts)

    def sums(self, values: NDArray[Any]) -> Floats:
        """Add up the rows of each draw: (draws, ...)."""
        by_patient = sums_by_patient(values, self.patients, self.counts.shape[1])
        return np.asarray(np.tensordot(self.counts, by_patient, axes=1))

    def mean(self, values: NDArray[Any]) -> Floats:
        """Return the mean over the rows of each draw: (draws,)."""
        return ratio(self.sums(values), self.sums(np.ones(len(values))))

    def auroc(self, score: Floats, labels: NDArray[np.integer], positive: Sequence[int]) -> Floats:
        """Return the AUROC of each draw, NaN without positives or without negatives: (draws,)."""
        alike = np.ones((len(self.counts), CLASSES))
        return ranking_draws(score, labels, self.patients, self.counts, alike, positive=positive)[0]
