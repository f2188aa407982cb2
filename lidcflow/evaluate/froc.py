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

FALSE_RANGES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""Of the LUNA16 challenge: false marks a study at which sensitivity is read off."""

THRESHOLDS = 400
"""Most thresholds of a curve; they lie closer where few slices are above."""


@dataclass(frozen=True, eq=False)
class Froc:
    """Figures by false ranges a study, and the curve of the sample.

    Parameters
    ----------
    figures : dict of str to Estimate
        ``froc_at_1/8`` and so on: the best sensitivity with at most so many false ranges a study.
    curve : (points, 2) array
        False ranges a study, rising, and the sensitivity reached.
    """

    figures: dict[str, Estimate]
    curve: Floats


def froc_key(rate: float) -> str:
    """Name a figure.

    Examples
    --------
    >>> froc_key(0.125), froc_key(2)
    ('froc_at_1/8', 'froc_at_2')
    """
    return f"froc_at_1/{1 / rate:.0f}" if rate < 1 else f"froc_at_{rate:g}"


def froc(scores: Floats, truth: HeldOutStudies, draws: Floats) -> Froc:
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
    thresholds = _thresholds(scores)
    counts = [_counts(p, nodules, thresholds) for p, nodules in zip(scores, truth.findings, strict=True)]
    false, found = (draws @ _of_patients(np.stack(part), truth) for part in zip(*counts, strict=True))
    rate = false / (draws @ _of_patients(np.ones(len(scores)), truth))[:, None]
    nodules = draws @ _of_patients(np.array([len(one) for one in truth.findings]), truth)
    sensitivity = ratio(found, nodules[:, None] * np.ones(found.shape[1]))
    figures = {froc_key(at): estimate(_best(rate, sensitivity, at)) for at in FALSE_RANGES}
    return Froc(figures, _curve(rate[0], sensitivity[0]))


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


def _thresholds(scores: Floats) -> Floats:
    values = np.unique(scores)[::-1]
    chosen = np.unique(np.geomspace(1, len(values), min(THRESHOLDS, len(values))).round().astype(np.int64))
    return np.concatenate(([np.inf], values if len(values) <= THRESHOLDS else values[chosen - 1]))


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


def _best(rate: Floats, sensitivity: Floats, at: float) -> Floats:
    allowed = np.where(rate <= at, sensitivity, -np.inf).max(axis=1)
    return np.where(np.isfinite(allowed), allowed, np.nan)


def _curve(rate: Floats, sensitivity: Floats) -> Floats:
    """Keep the points that reach more than any with fewer false ranges; without nodules there are none."""
    if np.isnan(sensitivity).any():
        return np.empty((0, 2))
    order = np.lexsort((-sensitivity, rate))
    reached = np.maximum.accumulate(sensitivity[order])
    rises = np.concatenate(([True], np.diff(reached) > 0))
    return np.column_stack([rate[order][rises], reached[rises]])


def _of_patients(values: NDArray[np.generic], truth: HeldOutStudies) -> Floats:
    return sums_by_patient(values, truth.patients, truth.patient_count)
