"""Figures with their intervals, and counts of slices by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Immutable, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Record):
    """A figure with its 95% interval over patients; None where the data do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.3f}" if self.low is None else f"{self.value:.3f} ({self.low:.2f} to {self.high:.2f})"


class ClassCounts(Record):
    """Slices of each class."""

    non_nodule: int
    benign: int
    malignant: int

    @property
    def total(self) -> int:
        """Slices of all classes."""
        return self.non_nodule + self.benign + self.malignant

    @classmethod
    def of(cls, labels: NDArray[np.integer]) -> ClassCounts:
        """Count labels: 0 non-nodule, 1 benign, 2 malignant."""
        counts = np.bincount(np.asarray(labels, dtype=np.int64).ravel(), minlength=3)
        return cls(non_nodule=int(counts[0]), benign=int(counts[1]), malignant=int(counts[2]))


class MarkFacts(Record):
    """Share of a training that comes from readers' marks on reports; who marked is not kept.

    Parameters
    ----------
    series, marks : int
        Series that marks alone label, and the marks on them.
    slices : ClassCounts
        Their slices by label.
    """

    series: int
    marks: int
    slices: ClassCounts


class SplitFigures(Record):
    """Figures of a release on one split at natural prevalence, beside the two baselines."""

    patients: int
    series: int
    nodules: int
    slices: ClassCounts
    release: dict[str, Estimate]
    sector_prior: dict[str, Estimate]
    uniform: dict[str, Estimate]


class FindingFigures(Record):
    """Figures of findings on one split, see `lidcflow.nodules.finding_figures`.

    Parameters
    ----------
    patients, series : int
        Those with candidates and readings.
    nodules : int
        Nodules that count: three readers or more, and 3 mm or more.
    figures : dict of str to Estimate
        ``candidate_sensitivity``; at the detector's threshold, ``sensitivity`` and ``false_findings`` (a scan);
        ``froc_at_1/8`` to ``froc_at_8`` and their mean, ``cpm``.
    curve : tuple of (false findings a scan, sensitivity)
        The FROC curve.
    """

    patients: int
    series: int
    nodules: int
    figures: dict[str, Estimate]
    curve: tuple[tuple[float, float], ...] = ()
