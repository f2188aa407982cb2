"""The rules that the distances of the slices of a usable CT series keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import PreprocessConfig
from lidcflow.ct.checks import refusal
from lidcflow.ct.headers import Header
from lidcflow.ct.records import Reason

MIN_SLICES = 8
MAX_GAP = 1.5
"""Largest distance of neighbouring slices, in median distances."""

WHOLE_STEPS_WITHIN = 0.2
"""How far a gap may be from a whole number of median distances to be called missing slices."""

EVEN_WITHIN = 0.1
"""Spread of distances, in median distances, up to which spacing counts as even."""

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
    if len(headers) < MIN_SLICES:
        sentence = f"a series must have at least {MIN_SLICES} slices, got {len(headers)}; find the rest of it"
        raise refusal(headers, Reason.TOO_FEW_SLICES, sentence)
    return median_mm, flags + _length_flags(headers, float(z_mm[0] - z_mm[-1]) + median_mm, config.z_range)


def _gap_flags(headers: Sequence[Header], z_mm: NDArray[np.float64], median_mm: float, gaps: str) -> list[str]:
    steps_mm = -np.diff(z_mm)
    wide = steps_mm > MAX_GAP * median_mm
    if not wide.any():
        uneven = len(steps_mm) and np.ptp(steps_mm) > EVEN_WITHIN * median_mm
        return ["spacing-varies"] if uneven else []
    whole = np.abs(steps_mm / median_mm - np.rint(steps_mm / median_mm))[wide] <= WHOLE_STEPS_WITHIN
    reason = Reason.MISSING_SLICES if whole.all() else Reason.UNEVEN_SPACING
    if gaps == "accept":
        return [f"{reason}-accepted"]
    at = int(np.flatnonzero(wide)[0])
    near_mm = (z_mm[at] + z_mm[at + 1]) / 2
    sentence = (
        f"slice spacing must be uniform, got {steps_mm.min():.2f} to {steps_mm.max():.2f} mm; "
        f"a slice may be missing near z = {near_mm:.1f} mm, find it or set preprocess.gaps to accept"
    )
    raise refusal(headers, reason, sentence)


def _length_flags(headers: Sequence[Header], length_mm: float, z_range: str) -> list[str]:
    """Refuse scans whose slabs would show anything but a chest; where the lungs are looked for, length is no harm."""
    if length_mm <= CHEST_MM:
        return []
    if z_range == "lung" and length_mm <= TABLE_MM:
        return [LONG_SCAN]
    most_mm, way_out = (CHEST_MM, "set preprocess.z_range to lung, which finds the chest in it")
    if length_mm > TABLE_MM:
        most_mm, way_out = TABLE_MM, "no patient is that long, export the series again"
    sentence = f"a scan must be at most {most_mm:.0f} mm long, got {length_mm:.0f} mm; {way_out}"
    raise refusal(headers, Reason.WHOLE_BODY, sentence)
