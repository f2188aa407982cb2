"""Evaluate a detector on annotated series: candidates' sensitivity, FROC and CPM, by the rule of LUNA16.

A candidate finds a nodule if it is inside its consensus outline or nearer to its centre than its radius; further
candidates in the same nodule do not count. Nodules of fewer than three readers and those below 3 mm are neither found
nor missed. A candidate that a better one covers is no finding, and no false mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.match import source_slices_of
from lidcflow.labels.readings import Nodule
from lidcflow.nodules.scored import ScoredCandidates
from lidcflow.nodules.select import uncovered
from lidcflow.nodules.truth import Kind, consensus, judge_candidates
from lidcflow.stats.bootstrap import Floats, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate, FindingFigures
from lidcflow.stats.froc import Froc, Marks, froc_of, froc_thresholds
from lidcflow.store.record import VolumeRecord

MISSED = -1.0
"""The score of a nodule that no finding is in."""

FLOOR_RATE = 4
"""False positives a scan at which a release must find enough."""


@dataclass(frozen=True, eq=False)
class SeriesMarks:
    """Detection results for the candidates of a series.

    Attributes
    ----------
    false : (n,) array of float64
        P(nodule) of candidates that are no nodule.
    found : (nodules,) array of float64
        P(nodule) of the best candidate in each nodule that counts; `MISSED` where none is.
    reached : (nodules,) array of bool
        Whether any candidate is in it, covered by a better one or not.
    """

    false: NDArray[np.float64]
    found: NDArray[np.float64]
    reached: NDArray[np.bool_]


def marks_of(scored: ScoredCandidates, nodules: Sequence[Nodule], record: VolumeRecord) -> SeriesMarks:
    """Judge the candidates of a series by its readings.

    Parameters
    ----------
    scored : ScoredCandidates
        The candidates.
    nodules : sequence of Nodule
        What readers marked in the series.
    record : VolumeRecord
        Its volume.
    """
    images, pixel_mm = source_slices_of(record), (record.row_spacing_mm, record.column_spacing_mm)
    agreed = [consensus(nodule, images, pixel_mm) for nodule in nodules]
    counting = np.array([i for i, one in enumerate(agreed) if one is not None and one.counts], dtype=np.intp)
    truth = judge_candidates(scored.places, nodules, images, pixel_mm)
    order = np.argsort(-scored.probability, kind="stable")
    kept = uncovered(order, scored.places, pixel_mm)
    kinds, inside, probability = truth.kinds[kept], truth.nodules[kept], scored.probability[kept]
    hits = counting[:, None] == inside
    return SeriesMarks(
        false=probability[kinds == Kind.NEGATIVE],
        found=np.where(hits, probability, MISSED).max(axis=1, initial=MISSED),
        reached=(counting[:, None] == truth.nodules).any(axis=1),
    )


@dataclass(frozen=True, eq=False)
class FindingDraws:
    """Findings of the series of a split in every draw of its patients.

    Attributes
    ----------
    marks : sequence of SeriesMarks or None
        Of each series; None for one without candidates or readings.
    patients : (series,) array of int
        Patient of each, from 0.
    draws : (1 + resamples, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`.
    """

    marks: Sequence[SeriesMarks | None]
    patients: NDArray[np.integer]
    draws: Floats

    @cached_property
    def froc(self) -> Froc:
        """The curve of every draw."""
        known = [one for one in self.marks if one is not None]
        parts = [part for one in known for part in (one.false, one.found[one.found > MISSED])]
        thresholds = froc_thresholds(np.concatenate([np.empty(0), *parts]))
        counts = [_counts(one, thresholds) for one in self.marks]
        false, found = (np.stack(part) for part in zip(*counts, strict=True))
        return froc_of(Marks(false, found, self._nodules, self._looked_at, self.patients), self.draws)

    @property
    def nodule_patients(self) -> int:
        """Patients with a nodule that counts."""
        return int(np.unique(self.patients[self._nodules > 0]).size)

    @property
    def _nodules(self) -> NDArray[np.float64]:
        return np.array([0.0 if one is None else len(one.found) for one in self.marks])

    @property
    def _looked_at(self) -> NDArray[np.float64]:
        return np.array([0.0 if one is None else 1.0 for one in self.marks])

    def figures(self, threshold: float) -> FindingFigures:
        """Return the figures.

        Parameters
        ----------
        threshold : float
            P(nodule) from which the release calls a candidate a finding.
        """
        nodules, looked_at = self._nodules, self._looked_at
        return FindingFigures(
            patients=int(np.unique(self.patients[looked_at > 0]).size),
            series=int(looked_at.sum()),
            nodules=int(nodules.sum()),
            figures={**self._at(threshold), "cpm": estimate(self.froc.cpm()), **self.froc.figures()},
            curve=tuple((float(rate), float(reached)) for rate, reached in self.froc.curve()),
        )

    def _at(self, threshold: float) -> Mapping[str, Estimate]:
        rows = np.array([_at_threshold(one, threshold) for one in self.marks]).reshape(-1, 3)
        beside = np.column_stack([rows, self._nodules, self._looked_at])
        reached, found, false, nodules, scans = (
            self.draws @ sums_by_patient(beside, self.patients, self.draws.shape[1])
        ).T
        return {
            "candidate_sensitivity": estimate(ratio(reached, nodules)),
            "sensitivity": estimate(ratio(found, nodules)),
            "false_findings": estimate(ratio(false, scans)),
        }


def _counts(one: SeriesMarks | None, thresholds: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the false marks and the nodules found at each threshold."""
    if one is None:
        return np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), np.int64)
    return _at_least(one.false, thresholds), _at_least(one.found, thresholds)


def _at_least(scores: NDArray[np.float64], thresholds: Floats) -> NDArray[np.int64]:
    return np.asarray(np.searchsorted(np.sort(-scores), -thresholds, side="right"), dtype=np.int64)


def _at_threshold(one: SeriesMarks | None, threshold: float) -> tuple[int, int, int]:
    if one is None:
        return 0, 0, 0
    return int(one.reached.sum()), int((one.found >= threshold).sum()), int((one.false >= threshold).sum())
