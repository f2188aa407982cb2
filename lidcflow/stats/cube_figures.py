"""Figures of outlined cubes: Dice, error of the long axis and volume ratio, with intervals over scans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lidcflow.stats.bootstrap import bootstrap_interval, by_patient, pooled, with_interval
from lidcflow.stats.estimate import Estimate, Record

NEAR_MM = 2.0
"""Error of a long axis that counts as small: two readers differ by about as much."""


class OutlineFigures(Record):
    """Figures of one method of outlining nodules, with 95% intervals over scans.

    Attributes
    ----------
    dice : Estimate
        Mean.
    long_axis_error_mm : Estimate
        Median of the absolute error.
    within_2_mm : Estimate
        Share of the cubes whose long axis is within 2 mm.
    volume_ratio : Estimate
        Median, by the reader's volume.
    without_outline : int
        Cubes with none: Dice and volume are 0 there, and the error is the whole axis.
    """

    dice: Estimate
    long_axis_error_mm: Estimate
    within_2_mm: Estimate
    volume_ratio: Estimate
    without_outline: int


def outline_figures(
    dice: NDArray[np.floating],
    long_axis_error_mm: NDArray[np.floating],
    volume_ratio: NDArray[np.floating],
    outlined: NDArray[np.bool_],
    scan: NDArray[np.str_],
    *,
    seed: int = 0,
) -> OutlineFigures:
    """Return the figures of one way to outline nodules.

    Parameters
    ----------
    dice, long_axis_error_mm, volume_ratio : (cubes,) arrays
    outlined : (cubes,) array of bool
        Where there is an outline.
    scan : (cubes,) array of str
        Scan of each; cubes of one scan are not independent, so scans are drawn.
    seed : int
        Of the bootstrap.
    """

    def with_limits(figure: Callable[[NDArray[np.floating]], float], values: NDArray[np.floating]) -> Estimate:
        groups = by_patient(scan, values)
        return with_interval(figure(values), bootstrap_interval(pooled(figure), groups, seed))

    return OutlineFigures(
        dice=with_limits(_mean, dice),
        long_axis_error_mm=with_limits(_median, long_axis_error_mm),
        within_2_mm=with_limits(_mean, (long_axis_error_mm <= NEAR_MM).astype(np.float64)),
        volume_ratio=with_limits(_median, volume_ratio),
        without_outline=int((~outlined).sum()),
    )


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean())


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values))
