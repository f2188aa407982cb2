"""FROC: how many of what is to be found is found, against false marks a scan, in every draw of patients.

A mark is what a reader is shown: a slice range, or a finding. Both are measured by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import Floats, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate

FALSE_MARKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""False marks per scan at which the LUNA16 challenge reads off the sensitivity."""

THRESHOLDS = 400
"""Most thresholds of a curve; they lie closer where few marks are above."""


def froc_key(rate: float) -> str:
    """Name a figure.

    Examples
    --------
    >>> froc_key(0.125), froc_key(2)
    ('froc_at_1/8', 'froc_at_2')
    """
    return f"froc_at_1/{1 / rate:.0f}" if rate < 1 else f"froc_at_{rate:g}"


@dataclass(frozen=True, eq=False)
class Marks:
    """Marks of scans at falling thresholds, and what is to be found in each.

    Attributes
    ----------
    false, found : (scans, thresholds) arrays
        False marks, and targets that a mark finds, each counted once.
    targets : (scans,) array
        What is to be found.
    looked_at : (scans,) array
        1 for a scan that was looked at; one with 0 does not count, and has neither marks nor targets.
    patients : (scans,) array of int
        Patient of each scan, from 0.
    """

    false: NDArray[np.generic]
    found: NDArray[np.generic]
    targets: NDArray[np.generic]
    looked_at: NDArray[np.generic]
    patients: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve of every draw of patients; row 0 is that of the sample.

    Attributes
    ----------
    rate, sensitivity : (1 + resamples, thresholds) arrays
        False marks a scan and share of the targets found; sensitivity is NaN for a draw without targets.
    """

    rate: Floats
    sensitivity: Floats

    def at(self, rate: float) -> Floats:
        """Return the best sensitivity at a limit of false marks per scan, (1 + resamples,)."""
        allowed = np.where(self.rate <= rate, self.sensitivity, -np.inf).max(axis=1)
        return np.where(np.isfinite(allowed), allowed, np.nan)

    def cpm(self) -> Floats:
        """Return the mean sensitivity over `FALSE_MARKS`, (1 + resamples,).

        References
        ----------
        Setio et al. 2017, doi:10.1016/j.media.2017.06.015: the competition performance metric of LUNA16.
        """
        return np.asarray(np.mean([self.at(rate) for rate in FALSE_MARKS], axis=0))

    def figures(self) -> dict[str, Estimate]:
        """Return the sensitivity at each of `FALSE_MARKS`, ``froc_at_1/8`` and so on."""
        return {froc_key(rate): estimate(self.at(rate)) for rate in FALSE_MARKS}

    def curve(self) -> Floats:
        """Return the points of the sample that reach more than any with fewer false marks, (points, 2).

        Without targets there are none.
        """
        rate, sensitivity = self.rate[0], self.sensitivity[0]
        if np.isnan(sensitivity).any():
            return np.empty((0, 2))
        order = np.lexsort((-sensitivity, rate))
        reached = np.maximum.accumulate(sensitivity[order])
        rises = np.concatenate(([True], np.diff(reached) > 0))
        return np.column_stack([rate[order][rises], reached[rises]])


def froc_of(marks: Marks, draws: Floats) -> Froc:
    """Count the marks of each draw of patients.

    Parameters
    ----------
    marks : Marks
        Of all scans.
    draws : (1 + resamples, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`.
    """

    def drawn(values: NDArray[np.generic]) -> Floats:
        return np.asarray(draws @ sums_by_patient(values, marks.patients, draws.shape[1]))

    found = drawn(marks.found)
    targets = drawn(marks.targets)[:, None] * np.ones(found.shape[1])
    return Froc(ratio(drawn(marks.false), drawn(marks.looked_at)[:, None]), ratio(found, targets))


def froc_thresholds(scores: NDArray[np.floating]) -> Floats:
    """Return the thresholds of a curve, falling: above all scores, then at most `THRESHOLDS` of them."""
    values = np.unique(scores)[::-1]
    chosen = np.unique(np.geomspace(1, max(1, len(values)), min(THRESHOLDS, len(values))).round().astype(np.int64))
    return np.concatenate(([np.inf], values if len(values) <= THRESHOLDS else values[chosen - 1]))
