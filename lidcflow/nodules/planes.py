"""The planes through findings, for small pictures: those of the stored candidates that became findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Finding
from lidcflow.nodules.plane_width import width_of
from lidcflow.nodules.stored import StoredCandidates

NEAR_MM, NEAR_PIXELS = 0.001, 0.01
"""Findings round the place of their candidate to less than this."""


def finding_planes(findings: Sequence[Finding], stored: StoredCandidates | None) -> dict[int, NDArray[np.int16]]:
    """Return the planes through findings by their ranks.

    Parameters
    ----------
    findings : sequence of Finding
        Findings of the series.
    stored : StoredCandidates, optional
        Its candidates.

    Returns
    -------
    dict of int to (3, 48, 48) array of int16
        Axial, coronal and sagittal plane in HU, as stored. A finding whose candidate is not there any more has none.
    """
    if stored is None:
        return {}
    indices = {found.rank: candidate_of(found, stored.table) for found in findings}
    return {
        found.rank: stored.patches[index, width_of(found)]
        for found in findings
        if (index := indices[found.rank]) is not None
    }


def candidate_of(found: Finding, table: NDArray[np.void]) -> int | None:
    """Return the number of the candidate at the place of a finding; None where it is not in the table."""
    near = np.abs(table["z_mm"] - found.z_mm) < NEAR_MM
    for name in ("row", "column"):
        near &= np.abs(table[name] - getattr(found, name)) < NEAR_PIXELS
    return int(np.flatnonzero(near)[0]) if near.any() else None
