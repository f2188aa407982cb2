"""Labels of the stored volumes, and the event that enough new labelled series have come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from lidcflow.config import LIDC, Config, LabelConfig
from lidcflow.errors import LabelError
from lidcflow.files import write_whole
from lidcflow.labels.collect import Collected, FullRecords
from lidcflow.labels.slices import NoduleSlices, labels_of, nodule_slices, slab_labels
from lidcflow.pixels.noticed import NOT_LEARNED_FROM
from lidcflow.store.volumes import VolumeRecord, VolumeStore, VolumeSummary
from tasks.progress import stage
from tasks.readings import collect_readings

Volumes = Iterable[VolumeSummary | VolumeRecord]

LABELLED = "lidcflow.series.labelled"

FILE = "labelled-since.txt"
"""Number of new ones since the last event; only a hint to check sooner, since the check itself counts exactly."""


@dataclass(frozen=True)
class Labelled:
    """Labels by SeriesInstanceUID, the reasons for volumes without any, and the sources' annotations."""

    labels: dict[str, NDArray[np.int8]]
    left_out: dict[str, str]
    collected: Collected


def fit_for_learning(volumes: Iterable[VolumeSummary]) -> list[VolumeSummary]:
    """Return the volumes without flags of wrong pixels: neither training nor evaluation uses the others."""
    return [volume for volume in volumes if NOT_LEARNED_FROM.isdisjoint(volume.flags)]


def label_volumes(
    records: Volumes, config: LabelConfig, full: FullRecords | None = None, reports: Path | None = None
) -> Labelled:
    """Label volumes as `label_readable` does, and refuse to go on without any.

    Raises
    ------
    LabelError
        If there is no label, or a source of readings is not there.
    """
    volumes = list(records)
    labelled = label_readable(volumes, config, full, reports)
    if not labelled.labels:
        raise LabelError(no_labels(labelled, len(volumes), config.sources))
    return labelled


def label_readable(
    records: Volumes, config: LabelConfig, full: FullRecords | None = None, reports: Path | None = None
) -> Labelled:
    """Label every volume whose series was read, each with all of its readings or not at all.

    Volumes in short are enough where `full` reads the records of those that files have readings of. Marks on the
    `reports` in a folder count where the settings say so.

    Raises
    ------
    LabelError
        If a source of readings is not there.
    """
    volumes = list(records)
    with stage("readings") as reading:
        collected = collect_readings(volumes, config, reports, reading.reach, full)
    labels: dict[str, NDArray[np.int8]] = {}
    with stage("labels", total=len(volumes)) as progress:
        for record in volumes:
            if (nodules := collected.nodules.get(record.series_instance_uid)) is not None:
                h_mm = record.slice_spacing_mm / 2
                labels[record.series_instance_uid] = slab_labels(record.edges_mm, nodules, h_mm, config)
            progress.advance()
    return Labelled(labels, collected.left_out, collected)


def nodules_of_records(
    records: Sequence[VolumeSummary | VolumeRecord],
    collected: Collected,
    config: LabelConfig,
    *,
    expected: NDArray[np.integer],
) -> list[list[NoduleSlices]]:
    """Return the nodules of stored volumes and the slices they lie in.

    Parameters
    ----------
    records : sequence of VolumeSummary or VolumeRecord
        Volumes of a snapshot.
    collected : Collected
        What the sources say of them.
    config : LabelConfig
        How they were labelled.
    expected : (volumes, slices) array
        Labels of the snapshot.

    Raises
    ------
    LabelError
        If the readings are no longer those of the snapshot.
    """
    found = []
    for record, labels in zip(records, expected, strict=True):
        nodules = collected.nodules.get(record.series_instance_uid, [])
        slices = nodule_slices(record.edges_mm, nodules, record.slice_spacing_mm / 2, config)
        if not np.array_equal(labels_of(slices, len(labels)), labels):
            raise LabelError(
                f"series {record.series_instance_uid}: readings must be those that the snapshot was labelled with, "
                "got others; train again"
            )
        found.append(slices)
    return found


def no_labels(labelled: Labelled, volumes: int, sources: Sequence[str]) -> str:
    """State that no volume has labels, and what to do."""
    if tuple(sources) == (LIDC,):
        return (
            f"labels: at least one of the {volumes} stored series must be one of LIDC-IDRI, got none; "
            "preprocess some of them, or phantoms made with `lidcflow phantom`"
        )
    return (
        f"labels: at least one of the {volumes} stored series must have readings that fit, got none of "
        f"{labelled.collected.readings} readings; `lidcflow labels --report FILE` lists what does not"
    )


@task(name="announce labelled series", cache_policy=NO_CACHE)
def announce_labelled(uids: Collection[str], config: Config) -> int:
    """Count those of newly stored series that have labels, and send an event once they are as many as retraining asks.

    Returns
    -------
    int
        How many have come since the last event.
    """
    if not uids:
        return 0
    since = _count(config.workspace) + _labelled(uids, config)
    if since < config.retrain.new_series:
        _keep(config.workspace, since)
        return since
    emit_event(LABELLED, resource={"prefect.resource.id": "lidcflow.store"}, payload={"series": since})
    _keep(config.workspace, 0)
    return 0


def _labelled(uids: Collection[str], config: Config) -> int:
    """Count series with labels; unreadable annotations are reported by the training."""
    try:
        records = VolumeStore.of(config).records(list(uids))
        return len(label_readable(records, config.labels, reports=config.reports_path).labels)
    except LabelError:
        return 0


def _count(workspace: Path) -> int:
    try:
        return int((workspace / FILE).read_text())
    except (OSError, ValueError):
        return 0


def _keep(workspace: Path, count: int) -> None:
    write_whole(workspace / FILE, f"{count}\n")
