"""The rules that the distances of the slices of a usable CT series keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import series_refusal
from lidcflow.headers.concerned import named
from lidcflow.headers.header import Header
from lidcflow.series.stacks import EVEN_WITHIN, MAX_GAP, are_gaps, is_even

MIN_SLICES = 8
WHOLE_STEPS_WITHIN = 0.2
"""Largest distance of a gap from a whole number of median distances for it to count as missing slices."""

THICK_ENOUGH = 0.9
"""Slices at least this thick, in distances, leave no gap: the protocol changed its distance on the way."""

ACCEPTED = "-accepted"
"""End of the flags of gaps that the configuration accepts."""

FEW_BETWEEN = 3
"""Slices between two that are one step apart, from which they are another pass: LIDC-IDRI-0123 has two at a joint."""

CHEST_MM = 800.0
"""Longer scans show more than a chest; the longest of LIDC-IDRI has 680 mm."""

LONG_SCAN = "long-scan"
"""Flag of what is longer than a chest."""

TABLE_MM = 2500.0
"""Longer ones show more than a patient."""


def spacing_mm(
    headers: Sequence[Header], z_mm: NDArray[np.float64], config: PreprocessConfig
) -> tuple[float, list[str]]:
    """Compute the median distance of neighbouring slices; refuse gaps, too few, and more than a chest.

    Parameters
    ----------
    headers : sequence of Header
        Slices of one geometry.
    z_mm : (slices,) array
        Distinct positions along the normal, descending.
    config : PreprocessConfig
        What to do with gaps and with more than a chest.

    Returns
    -------
    float
        In mm.
    list of str
        Flags on what was tolerated.
    """
    steps_mm = -np.diff(z_mm)
    median_mm = float(np.median(steps_mm)) if len(steps_mm) else 0.0
    flags = _gap_flags(headers, z_mm, median_mm, config.gaps)
    median_mm = _step_mm(steps_mm, median_mm) if any(flag.endswith(ACCEPTED) for flag in flags) else median_mm
    if len(headers) < MIN_SLICES:
        sentence = (
            f"a series must have at least {MIN_SLICES} slices, got {len(headers)}, the first {named(headers[0])}; "
            "find the rest of the series"
        )
        raise series_refusal(headers, VerdictReason.TOO_FEW_SLICES, sentence)
    return median_mm, flags + _length_flags(headers, float(z_mm[0] - z_mm[-1]) + median_mm, config.z_range)


def _step_mm(steps_mm: NDArray[np.float64], median_mm: float) -> float:
    """Return the slice spacing: the median, or with accepted gaps that of the slices without a gap."""
    gaps = are_gaps(steps_mm)
    hidden = gaps & (steps_mm <= MAX_GAP * median_mm)
    return float(np.median(steps_mm[~gaps])) if hidden.any() and not gaps.all() else median_mm


def _gap_flags(headers: Sequence[Header], z_mm: NDArray[np.float64], median_mm: float, gaps: str) -> list[str]:
    steps_mm = -np.diff(z_mm)
    _is_one_pass(headers, z_mm, steps_mm)
    wide = are_gaps(steps_mm) & ~(_by_design(headers, steps_mm) & (steps_mm <= MAX_GAP * median_mm))
    if not wide.any():
        return [] if is_even(z_mm) else ["spacing-varies"]
    step_mm = min(median_mm, float(np.median(steps_mm[~wide]))) if not wide.all() else median_mm
    whole = np.abs(steps_mm / step_mm - np.rint(steps_mm / step_mm))[wide] <= WHOLE_STEPS_WITHIN
    reason = VerdictReason.MISSING_SLICES if whole.all() else VerdictReason.UNEVEN_SPACING
    if gaps == "accept":
        return [f"{reason}{ACCEPTED}"]
    at = int(np.flatnonzero(wide)[0])
    near_mm = (z_mm[at] + z_mm[at + 1]) / 2
    sentence = (
        f"slice spacing must be uniform, got {steps_mm.min():.2f} to {steps_mm.max():.2f} mm; "
        f"a slice may be missing near z = {near_mm:.1f} mm, the first of {wide.sum()} gaps, after instance "
        f"{named(headers[at])}; find it or set preprocess.gaps to accept"
    )
    raise series_refusal(headers, reason, sentence)


def _by_design(headers: Sequence[Header], steps_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find distances at which nothing is missing although finer ones lie around them: the slices there are as thick.

    InstanceNumber must count on as well; where slices are missing, it skips.
    """
    thickness_mm = np.array([header.facts.acquisition.slice_thickness_mm or 0.0 for header in headers])
    numbers = np.array([np.nan if header.instance_number is None else header.instance_number for header in headers])
    thick = np.maximum(thickness_mm[:-1], thickness_mm[1:]) >= THICK_ENOUGH * steps_mm
    by_design: NDArray[np.bool_] = thick & (np.abs(np.diff(numbers)) == 1)
    return by_design


def _is_one_pass(headers: Sequence[Header], z_mm: NDArray[np.float64], steps_mm: NDArray[np.float64]) -> None:
    """Refuse slices that lie between those of another pass, judged by distances where no attribute differs.

    Two distances in turn that add up to a step are two passes, unless one is twice the other: that is every third
    slice missing.
    """
    if len(steps_mm) < 2 or is_even(z_mm):
        return
    pairs_mm, parts = steps_mm[:-1] + steps_mm[1:], np.sort([steps_mm[:-1], steps_mm[1:]], axis=0)
    differ = (parts[1] > (1 + 2 * EVEN_WITHIN) * parts[0]) & (np.abs(parts[1] / parts[0] - 2) > 2 * EVEN_WITHIN)
    for step_mm in (np.median(steps_mm), np.median(pairs_mm)):
        between = differ & (np.abs(pairs_mm - step_mm) <= EVEN_WITHIN * step_mm) & (parts[1] < step_mm)
        if between.sum() >= FEW_BETWEEN:
            raise _of_passes(headers, z_mm, int(np.flatnonzero(between)[0]) + 1, steps_mm)


def _of_passes(
    headers: Sequence[Header], z_mm: NDArray[np.float64], first: int, steps_mm: NDArray[np.float64]
) -> Exception:
    sentence = (
        "slices must be of one acquisition, or of several one after the other along z, got distances of "
        f"{steps_mm[first - 1]:.2f} and {steps_mm[first]:.2f} mm in turn, the first at z = {z_mm[first]:.2f} mm in "
        f"instance {headers[first].sop_instance_uid}: two passes lie in each other; separate them at the source"
    )
    return series_refusal(headers, VerdictReason.MIXED_ACQUISITIONS, sentence)


def _length_flags(headers: Sequence[Header], length_mm: float, z_range: str) -> list[str]:
    """Refuse scans that are too long to show only a chest; with `z_range = "lung"` up to `TABLE_MM` is accepted."""
    if length_mm <= CHEST_MM:
        return []
    if z_range == "lung" and length_mm <= TABLE_MM:
        return [LONG_SCAN]
    most_mm, way_out = (CHEST_MM, "set preprocess.z_range to lung, which finds the chest in it")
    if length_mm > TABLE_MM:
        most_mm, way_out = TABLE_MM, "no patient is that long, export the series again"
    sentence = (
        f"a scan must be at most {most_mm:.0f} mm long, got {length_mm:.0f} mm from instance "
        f"{named(headers[0])} to {named(headers[-1])}, {len(headers)} slices; {way_out}"
    )
    raise series_refusal(headers, VerdictReason.WHOLE_BODY, sentence)
