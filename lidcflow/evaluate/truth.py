"""Ground truth of held-out studies: labels, nodules with size and readers, and acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from lidcflow.config import LabelConfig
from lidcflow.errors import LabelError
from lidcflow.labels.readings import Nodule, Reading
from lidcflow.labels.slices import NoduleSlices, labels_of, nodule_slices
from lidcflow.store.record import VolumeRecord
from lidcflow.store.summary import VolumeSummary


@dataclass(frozen=True)
class Finding:
    """A nodule of a study.

    Parameters
    ----------
    slices : frozenset of int
        Slices it lies in, from 0 at the top.
    label : int
        1 benign, 2 malignant.
    size_mm : float
        Longest in-plane diameter, the mean over the readers that outlined it; else its extent along z.
    readers : int
        Readings that make it.
    """

    slices: frozenset[int]
    label: int
    size_mm: float
    readers: int


@dataclass(frozen=True, eq=False)
class HeldOutStudies:
    """The studies of one split.

    Parameters
    ----------
    patients : (studies,) array of int
        Patient of each study, from 0 without gaps.
    labels : (studies, slices) array of int
        0 non-nodule, 1 benign, 2 malignant; top of the chest first.
    findings : (studies,) sequence
        The nodules of each study.
    acquisitions : (studies,) sequence of mappings
        Scanner and protocol of each study, as `VolumeRecord.acquisition`.
    """

    patients: NDArray[np.int64]
    labels: NDArray[np.integer]
    findings: Sequence[Sequence[Finding]]
    acquisitions: Sequence[Mapping[str, Any]]

    @property
    def patient_count(self) -> int:
        """Patients among the studies."""
        return int(self.patients.max()) + 1


def findings_of(
    record: VolumeRecord | VolumeSummary,
    nodules: Sequence[Nodule],
    config: LabelConfig,
    *,
    expected: NDArray[np.integer],
) -> list[Finding]:
    """Place the nodules of a stored volume in its slices and measure them.

    Parameters
    ----------
    record : VolumeRecord or VolumeSummary
        The volume.
    nodules : sequence of Nodule
        From the readings of its series; those that do not count or lie outside are left out.
    config : LabelConfig
        How the snapshot was labelled.
    expected : (slices,) array of int
        Labels of the snapshot.

    Raises
    ------
    LabelError
        If the readings are no longer those of the snapshot.
    """
    h_mm = record.slice_spacing_mm / 2
    placed = [(nodule, nodule_slices(record.edges_mm, [nodule], h_mm, config)) for nodule in nodules]
    findings = [_finding(nodule, found[0], record) for nodule, found in placed if found]
    if not np.array_equal(labels_of([found[0] for _, found in placed if found], len(expected)), expected):
        raise LabelError(
            f"series {record.series_instance_uid}: readings must be those that the snapshot was labelled with, "
            "got others; evaluate with labels.source of the training, or train again"
        )
    return findings


def _finding(nodule: Nodule, found: NoduleSlices, record: VolumeRecord | VolumeSummary) -> Finding:
    diameters_mm = [_diameter_mm(reading, record) for reading in nodule.readings if reading.is_outlined]
    size_mm = float(np.mean(diameters_mm)) if diameters_mm else _extent_mm(nodule, record.slice_spacing_mm / 2)
    return Finding(found.slices, found.label, size_mm, len(nodule.readings))


def _diameter_mm(reading: Reading, record: VolumeRecord | VolumeSummary) -> float:
    """Measure the longest line between two points of an outline; an outline of one point is a pixel wide."""
    longest_mm = min(record.row_spacing_mm, record.column_spacing_mm)
    for mark in reading.marks:
        if mark.points is not None and mark.inclusion and len(mark.points) > 1:
            rows, columns = mark.matrix or (record.rows, record.columns)
            row_mm = record.row_spacing_mm * record.rows / rows
            column_mm = record.column_spacing_mm * record.columns / columns
            longest_mm = max(longest_mm, float(pdist(mark.points * np.array([row_mm, column_mm])).max()))
    return longest_mm


def _extent_mm(nodule: Nodule, h_mm: float) -> float:
    covered_mm = nodule.covered_mm(h_mm)
    return float(covered_mm.max() - covered_mm.min())
