"""The held-out patients of a release: its snapshot, checked against the store, with labels, nodules and features."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config import Config, LabelConfig
from lidcflow.errors import ReleaseError, StoreError, StoreMismatch
from lidcflow.evaluate.truth import HeldOutStudies, findings_of
from lidcflow.labels.readings import Nodule
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.splits import Split
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.volumes import VolumeStore, VolumeSummary
from tasks.progress import stage
from tasks.readings import readings_for
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import run_of


@dataclass(frozen=True, eq=False)
class HeldOutSplit:
    """A split of a release's snapshot: its series in order, what is true of them, and what readers marked in them."""

    uids: tuple[str, ...]
    truth: HeldOutStudies
    readings: Mapping[str, Sequence[Nodule]]


def config_of_release(release: ReleaseRecord, config: Config) -> Config:
    """Return the configuration that the release was trained with, on this machine's places.

    Raises
    ------
    ReleaseError
        If the store holds volumes of another preprocessing.
    """
    local = {key: getattr(config.train, key) for key in ("backbone_weights", "backbone_sha256")}
    trained = config.model_copy(
        update={
            "preprocess": release.preprocess,
            "split": release.split,
            "labels": release.labels.model_copy(update={"source": config.labels.source}),
            "train": release.train.model_copy(update=local if config.train.backbone == release.backbone.kind else {}),
        }
    )
    try:
        VolumeStore.of(trained)
    except StoreMismatch:
        raise ReleaseError(
            f"{_name(release)}: the store must hold volumes of its preprocessing {release.preprocess_digest[:12]}, "
            "got others; evaluate in the workspace that it was trained in"
        ) from None
    return trained


def load_snapshot(release: ReleaseRecord, config: Config, run_id: str) -> Snapshot:
    """Load the release's own snapshot: from the workspace, else from its training's run.

    Raises
    ------
    TrainingError
        If it is in neither place, or no longer what was saved.
    ReleaseError
        If it is another one than the release's.
    """
    name = f"{release.snapshot_name}.parquet"
    file = config.workspace / "snapshots" / name
    if file.is_file():
        return _checked(Snapshot.load(file), release)
    with tempfile.TemporaryDirectory() as folder:
        fetched = run_of(Tracking.of(config), run_id).fetch(f"snapshot/{name}", Path(folder))
        return _checked(Snapshot.load(fetched or file), release)


def read_split(release: ReleaseRecord, snapshot: Snapshot, split: Split, config: Config) -> HeldOutSplit:
    """Read what is true of the patients of a split; in a cross-validation every patient is in every split once.

    Raises
    ------
    ReleaseError
        If a volume is gone or has changed since the snapshot.
    LabelError
        If the readings are no longer those of the snapshot.
    """
    rows = snapshot.table if release.folds else snapshot.rows(split)
    series = rows.groupby("series_instance_uid", sort=True)
    uids = tuple(str(uid) for uid, _ in series)
    records = _records(release, uids, series["volume_digest"].first(), VolumeStore.of(config))
    labels = np.stack([of_series["label"].to_numpy() for _, of_series in series])
    with stage("readings") as reading:
        full = VolumeStore.of(config).records
        nodules = readings_for(records, config, reading.reach, full).nodules
    return HeldOutSplit(uids, _truth(records, labels, nodules, config.labels), nodules)


def lacking_features(release: ReleaseRecord, uids: Sequence[str], config: Config) -> list[str]:
    """List the series whose features are to be computed, once it is certain that they can be.

    Raises
    ------
    ReleaseError
        If features lack and the backbone at hand is not the release's.
    """
    store = VolumeStore.of(config)
    first = store.each_features(uids, release.backbone.id, slice(0, 1))
    lacking = [uid for uid, features in zip(uids, first, strict=True) if features is None]
    if lacking:
        here = describe_backbone(config.train, config.preprocess.size)
        if (here.id, here.digest) != (release.backbone.id, release.backbone.digest):
            raise ReleaseError(
                f"{_name(release)}: features must be of its backbone {release.backbone.id}, but series {lacking[0]} "
                f"has none of it and the backbone at hand is {here.id}; set train.backbone_weights to the release's "
                "weight file"
            )
    return lacking


def _checked(snapshot: Snapshot, release: ReleaseRecord) -> Snapshot:
    if snapshot.digest != release.snapshot_digest:
        raise ReleaseError(
            f"{_name(release)}: its snapshot must be {release.snapshot_digest[:12]}, got {snapshot.digest[:12]}; "
            "train again"
        )
    return snapshot


def _records(
    release: ReleaseRecord, uids: Sequence[str], digests: pd.Series[str], store: VolumeStore
) -> list[VolumeSummary]:
    try:
        records = list(store.summaries(uids))
    except StoreError as error:
        raise ReleaseError(f"{_name(release)}: every held-out series must be in the store; {error}") from None
    for record in records:
        expected = digests[record.series_instance_uid]
        if record.volume_digest != expected:
            raise ReleaseError(
                f"{_name(release)}: volumes must be those of its snapshot, got series {record.series_instance_uid} "
                f"with digest {record.volume_digest[:12]} instead of {expected[:12]}; preprocess the images that it "
                "was trained on, or train again"
            )
    return records


def _truth(
    records: Sequence[VolumeSummary],
    labels: NDArray[np.int8],
    nodules: Mapping[str, Sequence[Nodule]],
    config: LabelConfig,
) -> HeldOutStudies:
    findings = [
        findings_of(record, nodules.get(record.series_instance_uid, []), config, expected=expected)
        for record, expected in zip(records, labels, strict=True)
    ]
    _, patients = np.unique([record.patient_key for record in records], return_inverse=True)
    return HeldOutStudies(patients, labels, findings, [record.acquisition for record in records])


def _name(release: ReleaseRecord) -> str:
    return f"release {release.name} version {release.version}"
