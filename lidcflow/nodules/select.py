"""From candidates with probabilities to findings: above the threshold, best first, each traced to its source image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Channel, Finding
from lidcflow.store.record import VolumeRecord

MOST_FINDINGS = 10
"""Of a series; what is below the tenth is no help to a reader who looks at ten slices."""

MOST_CERTAIN = 0.999
"""No detector knows better than one in a thousand."""

CHANNEL_NAMES: tuple[Channel, ...] = ("solid", "ground-glass")


def select_findings(
    table: NDArray[np.void], probability: NDArray[np.floating], record: VolumeRecord, *, threshold: float
) -> tuple[Finding, ...]:
    """Return the candidates that are at or above a threshold as findings, best first.

    Parameters
    ----------
    table : (candidates,) array of CANDIDATE
        Where candidates lie, see `lidcflow.nodules.candidates`.
    probability : (candidates,) array
        P(nodule) of each.
    record : VolumeRecord
        The volume of their series.
    threshold : float
        From which a candidate is a finding.

    Returns
    -------
    tuple of Finding
        At most `MOST_FINDINGS`; candidates that lie beyond the slices of the volume are none.
    """
    edges_mm = record.edges_mm
    inside = (table["z_mm"] <= edges_mm[0]) & (table["z_mm"] >= edges_mm[-1])
    order = np.argsort(-np.asarray(probability), kind="stable")
    chosen = [int(i) for i in order if inside[i] and probability[i] >= threshold][:MOST_FINDINGS]
    return tuple(_finding(rank, table[i], float(probability[i]), record) for rank, i in enumerate(chosen, start=1))


def _finding(rank: int, candidate: np.void, probability: float, record: VolumeRecord) -> Finding:
    image = record.source_slices[int(candidate["source"])]
    z_mm, row, column = (float(candidate[key]) for key in ("z_mm", "row", "column"))
    slices = len(record.edges_mm) - 1
    return Finding(
        rank=rank,
        probability=min(round(probability, 4), MOST_CERTAIN),
        channel=CHANNEL_NAMES[int(candidate["channel"])],
        diameter_mm=round(float(candidate["diameter_mm"]), 1),
        z_mm=round(z_mm, 2),
        slice_number=int(np.clip(np.searchsorted(-record.edges_mm, -z_mm, side="right"), 1, slices)),
        sop_instance_uid=image.sop_instance_uid,
        instance_number=image.instance_number,
        frame_number=image.frame_number,
        row=round(row, 1),
        column=round(column, 1),
        **_in_patient(record, z_mm, row, column),
    )


def _in_patient(record: VolumeRecord, z_mm: float, row: float, column: float) -> dict[str, float]:
    """Return x and y in the patient, where the volume keeps where its pixels are."""
    if record.axes is None:
        return {}
    x_mm, y_mm, _ = record.axes.point_mm(z_mm, row * record.row_spacing_mm, column * record.column_spacing_mm)
    return {"x_mm": round(float(x_mm), 2), "y_mm": round(float(y_mm), 2)}
