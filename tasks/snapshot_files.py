"""Snapshots of trainings as files of the workspace: listed, found by their id, checked against the store."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from lidcflow.config import Config, NodulesConfig
from lidcflow.errors import StoreMismatch, TrainingError
from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.splits import Split
from lidcflow.learn.training_set import ID_LENGTH, CandidateFacts, TrainingSet, TrainingSettings, read_settings
from lidcflow.nodules.table import READABLE, TABLE_SCHEMA
from lidcflow.stats.estimate import ClassCounts, Record
from lidcflow.store.address import StoreAddress
from lidcflow.store.volumes import VolumeStore, VolumeSummary
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, is_there
from tasks.tracking.runs import runs_tagged

ARTIFACTS = "snapshot"
"""Folder of the file among the artifacts of the training's run, and the tag that names it there."""


class ListedSnapshot(Record):
    """A snapshot of the workspace, and the releases that were trained from it."""

    id: str
    digest: str
    series: int
    patients: int
    slices: ClassCounts
    settings: TrainingSettings
    releases: tuple[int, ...]


def snapshots_folder(workspace: Path) -> Path:
    """Return the folder of snapshots, made on first use."""
    folder = workspace / "snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def list_snapshots(workspace: Path, tracking: Tracking) -> list[ListedSnapshot]:
    """List the snapshots of the workspace that can be trained from, newest first."""
    releases, files = _releases(tracking), _snapshots(workspace)
    found = [_listed(file, digest, settings, releases.get(digest, ())) for file, digest, settings in files]
    return sorted(found, key=lambda one: one.settings.created, reverse=True)


def find_snapshot(name: str, workspace: Path, tracking: Tracking) -> Path:
    """Find a snapshot by its path or the leading digits of its digest: in the workspace, else on its run in MLflow.

    Raises
    ------
    TrainingError
        If there is none, or more than one.
    """
    if Path(name).is_file():
        return Path(name)
    matching = [file for file, digest, _ in _snapshots(workspace) if digest.startswith(name.lower())]
    if len(matching) > 1:
        raise TrainingError(
            f"snapshot {name}: must begin the digest of one snapshot, got {len(matching)} of them; give more digits"
        )
    if matching:
        return matching[0]
    if fetched := _fetch(name.lower(), workspace, tracking):
        return fetched
    raise TrainingError(
        f"snapshot {name}: must be a file or begin a digest of `lidcflow snapshots`, got neither; choose one of them"
    )


def config_of_snapshot(fixed: TrainingSet, config: Config) -> Config:
    """Return the configuration that a snapshot was trained with, on this machine's places."""
    settings = fixed.settings
    local = {key: getattr(config.train, key) for key in ("backbone_weights", "backbone_sha256")}
    same_kind = config.train.backbone == settings.train.backbone
    return config.model_copy(
        update={
            "preprocess": settings.preprocess,
            "split": settings.split,
            "labels": settings.labels.model_copy(update={"source": config.labels.source}),
            "train": settings.train.model_copy(update=local if same_kind else {}),
            "nodules": config.nodules.model_copy(update={"candidates": settings.candidates is not None}),
        }
    )


def require_volumes(fixed: TrainingSet, address: StoreAddress, backbone_id: str) -> None:
    """Make sure that backbone and volumes are those of a snapshot.

    Raises
    ------
    TrainingError
        If they are not: the first series that is gone or has changed is named.
    """
    store = _required_store(fixed, address, backbone_id)
    digests = fixed.snapshot.table.groupby("series_instance_uid")["volume_digest"].first()
    stored = set(store.series_uids())
    gone = [uid for uid in digests.index if uid not in stored]
    if gone:
        raise TrainingError(
            f"snapshot {fixed.id}: its {len(digests)} series must be in the store, got {len(gone)} that are not, the "
            f"first {gone[0]}; preprocess them again, or train without --snapshot"
        )
    now = ((volume.series_instance_uid, volume.volume_digest) for volume in store.summaries(digests.index))
    changed = [uid for uid, digest in now if digest != digests[uid]]
    if changed:
        raise TrainingError(
            f"snapshot {fixed.id}: the volumes of its {len(digests)} series must be unchanged, got {len(changed)} that "
            f"are not, the first {changed[0]}; preprocess the images that it was taken of, or train without --snapshot"
        )


def candidates_of(
    snapshot: Snapshot, volumes: Iterable[VolumeSummary], settings: NodulesConfig
) -> CandidateFacts | None:
    """Return which series of a snapshot have nodule candidates.

    Returns
    -------
    CandidateFacts, or None
        None where candidates are switched off, or no validation series has some: there is nothing to join them by.
    """
    named = set(snapshot.table["series_instance_uid"].unique())
    found = sorted(one.series_instance_uid for one in volumes if one.candidates in READABLE)
    found = [uid for uid in found if uid in named]
    if not settings.candidates or named_in(snapshot, "validation").isdisjoint(found):
        return None
    digest = hashlib.sha256("\n".join([str(TABLE_SCHEMA), *found]).encode()).hexdigest()
    return CandidateFacts(version=TABLE_SCHEMA, series=len(found), digest=digest)


def named_in(snapshot: Snapshot, split: Split) -> set[str]:
    """Return the series of a split."""
    return set(snapshot.rows(split)["series_instance_uid"].unique())


def require_candidates(fixed: TrainingSet, address: StoreAddress) -> None:
    """Make sure that the series which had nodule candidates have them now, and no others.

    Raises
    ------
    TrainingError
        If they are others.
    """
    wanted = fixed.settings.candidates
    if wanted is None:
        return
    uids = fixed.snapshot.table["series_instance_uid"].unique().tolist()
    now = candidates_of(fixed.snapshot, address.open().summaries(uids), NodulesConfig())
    if now != wanted:
        raise TrainingError(
            f"snapshot {fixed.id}: nodule candidates must be those of its {wanted.series} series, version "
            f"{wanted.version}, got {f'{now.series} series, version {now.version}' if now else 'none'}; run "
            "`lidcflow preprocess` again, or train without --snapshot"
        )


def _required_store(fixed: TrainingSet, address: StoreAddress, backbone_id: str) -> VolumeStore:
    """Open the store, and check that its preprocessing and the backbone are those of a snapshot."""
    settings = fixed.settings
    try:
        store = address.open()
    except StoreMismatch as error:
        raise TrainingError(f"snapshot {fixed.id}: the store must hold volumes of its preprocessing; {error}") from None
    if settings.preprocess.digest != settings.preprocess_digest:
        raise TrainingError(
            f"snapshot {fixed.id}: its volumes must be of this version of the preprocessing, got digest "
            f"{settings.preprocess_digest[:12]}; train with lidcflow {settings.lidcflow_version}, or without --snapshot"
        )
    if backbone_id != settings.backbone_id:
        raise TrainingError(
            f"snapshot {fixed.id}: its features must be of the backbone {settings.backbone_id}, but the one at hand is "
            f"{backbone_id}; set train.backbone_weights to the weight file that it was trained with"
        )
    return store


def _snapshots(workspace: Path) -> Iterator[tuple[Path, str, TrainingSettings]]:
    for file in sorted((workspace / "snapshots").glob("[0-9a-f]*.parquet")):
        if found := read_settings(file):
            yield file, *found


def _listed(file: Path, digest: str, settings: TrainingSettings, releases: tuple[int, ...]) -> ListedSnapshot:
    table = pd.read_parquet(file, columns=["series_instance_uid", "patient_key", "label"])
    return ListedSnapshot(
        id=digest[:ID_LENGTH],
        digest=digest,
        series=table["series_instance_uid"].nunique(),
        patients=table["patient_key"].nunique(),
        slices=ClassCounts.of(table["label"].to_numpy()),
        settings=settings,
        releases=releases,
    )


def _releases(tracking: Tracking) -> dict[str, tuple[int, ...]]:
    """Versions of releases by the digest of their snapshot, newest first."""
    found: dict[str, tuple[int, ...]] = {}
    for listed in registry.list_releases(tracking):
        if listed.record and listed.record.snapshot_id:
            found[listed.record.snapshot_id] = (*found.get(listed.record.snapshot_id, ()), listed.version)
    return found


def _fetch(name: str, workspace: Path, tracking: Tracking) -> Path | None:
    """Copy a snapshot from the run of a training into the workspace."""
    if not re.fullmatch(rf"[0-9a-f]{{{ID_LENGTH},64}}", name) or not is_there(tracking):
        return None
    file = f"{name[:ID_LENGTH]}.parquet"
    for run in runs_tagged(tracking, {ARTIFACTS: name[:ID_LENGTH]}):
        with tempfile.TemporaryDirectory() as folder:
            fetched = run.fetch(f"{ARTIFACTS}/{file}", Path(folder))
            if fetched and (fixed := TrainingSet.load(fetched)).digest.startswith(name):
                kept = snapshots_folder(workspace) / file
                fixed.save(kept)
                return kept
    return None
