"""Labels of the stored volumes, from LIDC-IDRI's readings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import LabelConfig
from lidcflow.errors import LabelError
from lidcflow.lidc.labels import NoduleSlices, nodule_slices, nodules_of_volume, slab_labels
from lidcflow.store.volumes import VolumeRecord
from tasks.progress import stage


@dataclass(frozen=True)
class Labelled:
    """Labels by SeriesInstanceUID, and why the other volumes have none."""

    labels: dict[str, NDArray[np.int8]]
    left_out: dict[str, str]


def label_volumes(records: Iterable[VolumeRecord], config: LabelConfig) -> Labelled:
    """Label every volume whose series was read in LIDC-IDRI.

    Raises
    ------
    LabelError
        If there is none.
    """
    labels: dict[str, NDArray[np.int8]] = {}
    left_out: dict[str, str] = {}
    volumes = list(records)
    with stage("labels", total=len(volumes)) as progress:
        for record in volumes:
            try:
                labels[record.series_instance_uid] = _labels_of(record, config)
            except LabelError as error:
                left_out[record.series_instance_uid] = str(error)
            progress.advance()
    if not labels:
        raise LabelError(
            f"labels: at least one of the {len(volumes)} stored series must be one of LIDC-IDRI, got none; "
            "preprocess some of them, or phantoms made with `lidcflow phantom`"
        )
    return Labelled(labels, left_out)


def nodules_of_record(record: VolumeRecord, config: LabelConfig) -> list[NoduleSlices]:
    """Return the nodules of a stored volume and the slices they lie in."""
    nodules = nodules_of_volume(record.series_instance_uid, record.edges_mm)
    return nodule_slices(record.edges_mm, nodules, record.slice_spacing_mm / 2, config)


def _labels_of(record: VolumeRecord, config: LabelConfig) -> NDArray[np.int8]:
    nodules = nodules_of_volume(record.series_instance_uid, record.edges_mm)
    return slab_labels(record.edges_mm, nodules, record.slice_spacing_mm / 2, config)
