"""From candidates with probabilities to findings: above the threshold, best first, each traced to its source image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Finding
from lidcflow.nodules.place import place_of
from lidcflow.nodules.table import CHANNELS
from lidcflow.store.record import VolumeRecord

MOST_FINDINGS = 10
"""Most findings of a series: a reader who looks at ten slices gets no help from the eleventh."""

MOST_CERTAIN = 0.999
"""Highest probability of a finding: no detector is right more often than that."""

LEAST_DIAMETER_MM = 0.1

COVERED = 0.65
"""A candidate nearer to a better one than this share of that one's diameter is a part of the same finding."""


def select_findings(
    table: NDArray[np.void], probability: NDArray[np.floating], record: VolumeRecord, *, threshold: float
) -> tuple[Finding, ...]:
    """Return the candidates at or above a threshold as findings, best first.

    Parameters
    ----------
    table : (candidates,) array of CANDIDATE
        The candidates, see `lidcflow.nodules.table`.
    probability : (candidates,) array
        P(nodule) of each.
    record : VolumeRecord
        The volume of their series.
    threshold : float
        Least P(nodule) of a finding.

    Returns
    -------
    tuple of Finding
        At most `MOST_FINDINGS`. A candidate that a better one covers is not a finding, nor one above or below the
        slices of the volume.
    """
    order = np.argsort(-np.asarray(probability), kind="stable")
    above = order[np.asarray(probability)[order] >= threshold]
    chosen = uncovered(above, table, (record.row_spacing_mm, record.column_spacing_mm))
    placed = islice(_placed(table[chosen], np.asarray(probability)[chosen], record), MOST_FINDINGS)
    return tuple(Finding(rank=rank, **fields) for rank, fields in enumerate(placed, start=1))


def uncovered(order: NDArray[np.intp], table: NDArray[np.void], pixel_mm: tuple[float, float]) -> NDArray[np.intp]:
    """Leave out candidates that a better one covers.

    Parameters
    ----------
    order : (n,) array of int
        Rows of the table, best first.
    table : (candidates,) structured array
        With ``z_mm``, ``row``, ``column`` and ``diameter_mm``.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns.
    """
    scale_mm = {"z_mm": 1.0, "row": pixel_mm[0], "column": pixel_mm[1]}
    places_mm = np.stack([table[name].astype(np.float64) * mm for name, mm in scale_mm.items()], axis=1)
    kept: list[int] = []
    for i in order.tolist():
        far_mm = np.linalg.norm(places_mm[kept] - places_mm[i], axis=1)
        if (far_mm >= COVERED * table["diameter_mm"][kept]).all():
            kept.append(i)
    return np.array(kept, dtype=np.intp)


def _placed(
    table: NDArray[np.void], probability: NDArray[np.floating], record: VolumeRecord
) -> Iterator[dict[str, Any]]:
    """Yield the fields of each candidate that lies in a slice."""
    for candidate, p in zip(table, probability.tolist(), strict=True):
        z_mm, row, column = (float(candidate[name]) for name in ("z_mm", "row", "column"))
        if place := place_of(record, z_mm, row, column):
            yield {
                **place,
                "probability": min(round(p, 4), MOST_CERTAIN),
                "channel": CHANNELS[int(candidate["channel"])],
                "diameter_mm": max(round(float(candidate["diameter_mm"]), 1), LEAST_DIAMETER_MM),
            }
