"""FROC over slice ranges: nodules found against false ranges a study, and the release's own operating point.

At every threshold neighbours join into ranges as they do for a recommendation. A range finds the nodules that its peak
slice shows, as a candidate of a detector finds what its centre lies in: were any slice of it enough, the whole chest
as one range would find everything without a false one. A range whose peak shows no nodule is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.evaluate.truth import Finding, HeldOutStudies
from lidcflow.report.ranges import ranges_above
from lidcflow.stats.bootstrap import Floats, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.froc import Marks, froc_of, froc_thresholds


@dataclass(frozen=True, eq=False)
class RangeFroc:
    """Figures by false ranges a study, and the curve of the sample.

    Parameters
    ----------
    figures : dict of str to Estimate
        ``froc_at_1/8`` and so on: the best sensitivity with at most 1/8, 1/4, ... false ranges per study.
    curve : (points, 2) array
        False ranges a study, rising, and the sensitivity reached.
    """

    figures: dict[str, Estimate]
    curve: Floats


def froc(scores: Floats, truth: HeldOutStudies, draws: Floats) -> RangeFroc:
    """Measure ranges at all thresholds.

    Parameters
    ----------
    scores : (studies, slices) array
        P(nodule), or whatever rises with it.
    truth : HeldOutStudies
        The nodules.
    draws : (1 + resamples, patients) array
        From `draw_patients`.
    """
    thresholds = froc_thresholds(scores)
    counts = [_counts(p, nodules, thresholds) for p, nodules in zip(scores, truth.findings, strict=True)]
    false, found = (np.stack(part) for part in zip(*counts, strict=True))
    nodules = np.array([len(one) for one in truth.findings])
    found_by_draw = froc_of(Marks(false, found, nodules, np.ones(len(scores)), truth.patients), draws)
    return RangeFroc(found_by_draw.figures(), found_by_draw.curve())


def range_figures(scores: Floats, threshold: float, truth: HeldOutStudies, draws: Floats) -> dict[str, Estimate]:
    """Measure what a reader of all ranges at one threshold sees: any slice of a range counts.

    Returns
    -------
    dict of str to Estimate
        ``nodules_shown`` (share), ``false_ranges`` (a study) and ``slices_in_ranges`` (share).
    """
    rows = [_shown(p, threshold, nodules) for p, nodules in zip(scores, truth.findings, strict=True)]
    shown, nodules, false, slices = (draws @ _of_patients(np.array(rows), truth)).T
    studies = draws @ _of_patients(np.ones(len(scores)), truth)
    return {
        "nodules_shown": estimate(ratio(shown, nodules)),
        "false_ranges": estimate(false / studies),
        "slices_in_ranges": estimate(slices / (studies * scores.shape[1])),
    }


def _counts(p: Floats, nodules: Sequence[Finding], thresholds: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count a study's false ranges and found nodules at each threshold; only its own values change them."""
    own = np.unique(p)[::-1]
    states = np.array([(0, 0), *(_state(p, nodules, threshold) for threshold in own.tolist())], dtype=np.int64)
    at = np.searchsorted(-own, -thresholds, side="right")
    return states[at, 0], states[at, 1]


def _state(p: Floats, nodules: Sequence[Finding], threshold: float) -> tuple[int, int]:
    peaks = {inside.start + int(p[inside.start : inside.stop].argmax()) for inside in ranges_above(p, threshold)}
    hits = [peaks & one.slices for one in nodules]
    return len(peaks.difference(*hits)), sum(map(bool, hits))


def _shown(p: Floats, threshold: float, nodules: Sequence[Finding]) -> tuple[int, int, int, int]:
    ranges = ranges_above(p, threshold)
    inside = {k for one in ranges for k in one}
    true = {k for one in nodules for k in one.slices}
    shown = sum(not one.slices.isdisjoint(inside) for one in nodules)
    return shown, len(nodules), sum(true.isdisjoint(one) for one in ranges), len(inside)


def _of_patients(values: NDArray[np.generic], truth: HeldOutStudies) -> Floats:
    return sums_by_patient(values, truth.patients, truth.patient_count)
