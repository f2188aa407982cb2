"""Figures of held-out slices in every draw of patients, so that two releases are compared draw by draw.

Both are asked about the same patients: what makes a patient hard is hard for both, and the interval of their
difference is far narrower than those of the two figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import Floats, draw_patients, ranking_draws, ratio, sums_by_patient
from lidcflow.stats.calibration import BINS, calibration_bins
from lidcflow.stats.metrics import log_losses

WHOLE = slice(None)
"""Every slice of a study."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Held-out studies, and the draws of their patients that every figure shares.

    Attributes
    ----------
    labels : (studies, slices) array of int
        0 non-nodule, 1 benign, 2 malignant; top of the chest first.
    patients : (studies,) array of int
        Patient of each study, from 0 without gaps.
    draws : (1 + resamples, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`; row 0 is the sample itself.
    """

    labels: NDArray[np.integer]
    patients: NDArray[np.int64]
    draws: Floats

    @classmethod
    def of(
        cls, patient_keys: Sequence[str], labels: NDArray[np.integer], *, seed: int = 0, resamples: int = 1000
    ) -> Sample:
        """Draw the patients of studies.

        Parameters
        ----------
        patient_keys : (studies,) sequence of str
        labels : (studies, slices) array of int
        seed, resamples : int
            Of the bootstrap.
        """
        names, patients = np.unique(np.asarray(patient_keys, dtype=str), return_inverse=True)
        return cls(labels, patients, draw_patients(len(names), seed=seed, resamples=resamples))

    @property
    def patient_count(self) -> int:
        """Patients of the sample."""
        return int(self.draws.shape[1])

    def nodule_patients(self, inside: slice = WHOLE) -> int:
        """Count the patients who have a slice with a nodule, among some slices."""
        return int(np.unique(self.patients[(self.labels[:, inside] > 0).any(axis=1)]).size)

    def rows(self, inside: slice = WHOLE) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """Lay label and patient of each slice out in rows."""
        labels = self.labels[:, inside]
        return labels.ravel(), np.repeat(self.patients, labels.shape[1])

    def sums(self, values: NDArray[np.generic]) -> Floats:
        """Add up the values of all slices, (rows, ...), in each draw: (1 + resamples, ...)."""
        by_patient = sums_by_patient(values, self.rows()[1], self.patient_count)
        return np.asarray(np.tensordot(self.draws, by_patient, axes=1))


def auroc_draws(probabilities: Floats, sample: Sample, inside: slice = WHOLE) -> Floats:
    """Return the AUROC of slices with a nodule against slices without, in each draw.

    Parameters
    ----------
    probabilities : (studies, slices, 3) array
    sample : Sample
        What is true of the studies.
    inside : slice
        Which slices of each study; by default all.

    Returns
    -------
    (1 + resamples,) array
        NaN for a draw that lacks one of the two kinds.
    """
    labels, patients = sample.rows(inside)
    p_nodule = probabilities[:, inside, 1:].sum(axis=-1).ravel()
    alike = np.ones((len(sample.draws), 3))
    return ranking_draws(p_nodule, labels, patients, sample.draws, alike, positive=(1, 2))[0]


def log_loss_draws(probabilities: Floats, sample: Sample) -> Floats:
    """Return the mean negative log probability of the true class, in each draw.

    Parameters
    ----------
    probabilities : (studies, slices, 3) array
    sample : Sample
        What is true of the studies.
    """
    labels, _ = sample.rows()
    losses = log_losses(probabilities.reshape(-1, 3), labels)
    return ratio(sample.sums(losses), sample.sums(np.ones_like(losses)))


def calibration_error_draws(probabilities: Floats, sample: Sample) -> Floats:
    """Return the expected calibration error of P(nodule), in bins of equal numbers of slices, in each draw.

    Parameters
    ----------
    probabilities : (studies, slices, 3) array
    sample : Sample
        What is true of the studies.
    """
    nodule = sample.labels.ravel() > 0
    p_nodule = probabilities[..., 1:].sum(axis=-1).ravel()
    bins = np.eye(BINS)[calibration_bins(p_nodule)]
    excess = sample.sums(bins * (p_nodule - nodule)[:, None])
    return ratio(np.abs(excess).sum(axis=1), sample.sums(np.ones(len(nodule))))
