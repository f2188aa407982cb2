"""Trace a place of a series to its source image, its slice and the patient's coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from lidcflow.store.record import VolumeRecord


def place_of(record: VolumeRecord, z_mm: float, row: float, column: float) -> dict[str, Any] | None:
    """Return the fields of a finding that say where it is.

    Parameters
    ----------
    record : VolumeRecord
        The volume of the series.
    z_mm : float
        Of the finding's centre.
    row, column : float
        In source images; 0 is the centre of the first pixel.

    Returns
    -------
    dict or None
        ``z_mm``, ``x_mm``, ``y_mm``, ``row``, ``column``, ``slice_number`` and the middle image; None for a place above
        or below the slices, which may cover the lungs alone.
    """
    slice_number = _slice_number(record, z_mm)
    if slice_number is None:
        return None
    image = min(record.source_slices, key=lambda one: abs(one.z_mm - z_mm))
    return {
        "z_mm": round(z_mm, 4),
        "row": round(row, 2),
        "column": round(column, 2),
        "slice_number": slice_number,
        "sop_instance_uid": image.sop_instance_uid,
        "instance_number": image.instance_number,
        "frame_number": image.frame_number,
        **_in_patient(record, z_mm, row, column),
    }


def _slice_number(record: VolumeRecord, z_mm: float) -> int | None:
    """Return the slice whose edges hold a position: the lower one of two where they meet."""
    at = int(np.searchsorted(-record.edges_mm, -z_mm, side="right"))
    if z_mm == record.edges_mm[-1]:
        return len(record.edges_mm) - 1
    return at if 1 <= at < len(record.edges_mm) else None


def _in_patient(record: VolumeRecord, z_mm: float, row: float, column: float) -> dict[str, float]:
    if record.axes is None:
        return {}
    x_mm, y_mm, _ = record.pixel_point_mm(z_mm, row, column)
    return {"x_mm": round(x_mm, 3), "y_mm": round(y_mm, 3)}
