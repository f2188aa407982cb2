"""Inputs of the decision to retrain: stored labels, the newest release, and the end of the last training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.catalog.locks import Stage, is_at_work
from lidcflow.config import Config
from lidcflow.errors import TrainingError
from lidcflow.learn.backbones import backbone_id
from lidcflow.learn.snapshot import Snapshot, build_snapshot, read_table
from lidcflow.learn.training_set import CandidateFacts
from lidcflow.release.choices import kept_choices, with_choices
from lidcflow.release.last_check import RetrainingCheck, last_retraining_check
from lidcflow.release.pins import DetectorPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.retraining import Changes, Decision, Failed, Newest, changed_settings, changes_between, decide
from lidcflow.store.locate import is_store
from lidcflow.store.volumes import VolumeStore
from tasks.labels import fit_for_learning, label_readable
from tasks.snapshot import detector_for, training_digest
from tasks.snapshot_files import candidates_of
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.record import Listed
from tasks.tracking.runs import run_of

IN_THE_WAY: tuple[tuple[Stage, str], ...] = (("preprocess", "a preprocessing"), ("train", "a training"))
"""Work that a check waits for: a store that is being filled is not worth a training every hour."""


@dataclass(frozen=True)
class Stock:
    """Whether it is time to train, and the digest of what would be trained on; empty where that is nothing.

    `choices` are the settings that the newest release was given over the configuration, and that still hold.
    """

    decision: Decision
    changes: Changes
    inputs: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)


@task(name="take stock", cache_policy=NO_CACHE)
def assess_changes(config: Config, *, force: bool = False) -> Stock:
    """Compare what is stored and labelled with the newest release, and decide."""
    if not force and (busy := _in_the_way(config)):
        return _not_now(f"{busy[0]} is under way")
    if not is_store(config.store_root, config.access):
        return _not_now("no volume is stored yet")
    newest = _newest_release(config)
    choices = kept_choices(newest.record, config) if newest and newest.record else {}
    config = with_choices(config, choices)
    try:
        snapshot, candidates = snapshot_now(config)
    except TrainingError as error:
        return _not_now(str(error))
    return replace(_weigh(snapshot, candidates, newest, config, force=force), choices=choices)


def _in_the_way(config: Config) -> list[str]:
    return [name for stage, name in IN_THE_WAY if is_at_work(config.workspace, stage, config.catalog)]


def snapshot_now(config: Config) -> tuple[Snapshot, CandidateFacts | None]:
    """Label what is stored, as a training would, and keep no file of it; return which candidates there are, too.

    Raises
    ------
    TrainingError
        If it can't be trained on.
    """
    store = VolumeStore.of(config)
    volumes = fit_for_learning(store.summaries(store.series_uids()))
    labelled = label_readable(volumes, config.labels, store.records, config.reports_path)
    snapshot = build_snapshot(volumes, labelled.labels, config.split)
    return snapshot, candidates_of(snapshot, volumes, config.nodules)


def _newest_release(config: Config) -> Listed | None:
    return next((one for one in registry.list_releases(Tracking.of(config)) if one.record), None)


def _weigh(
    snapshot: Snapshot, candidates: CandidateFacts | None, release: Listed | None, config: Config, *, force: bool
) -> Stock:
    backbone = backbone_id(config.train, config.preprocess.size)
    inputs = training_digest(config, snapshot, backbone, candidates)
    newest = _newest(snapshot, release, config, backbone, detector_for(candidates))
    failed = _failed(last_retraining_check(config.workspace), inputs)
    decision = decide(config.retrain, newest, failed, force=force)
    return Stock(decision, newest.changes if newest else Changes(), inputs)


def _not_now(why: str) -> Stock:
    return Stock(Decision(due=False, why=why), Changes())


def _newest(
    snapshot: Snapshot, listed: Listed | None, config: Config, backbone: str, detector: DetectorPin | None
) -> Newest | None:
    if listed is None or listed.record is None:
        return None
    changes = _changes(snapshot, _table(listed.record, config), listed.record)
    settings = changed_settings(listed.record, config, backbone, detector)
    age = datetime.now(UTC) - listed.record.created
    return Newest(
        version=listed.version,
        age_days=age.total_seconds() / 86_400,
        changes=changes.model_copy(update={"settings": settings, "erased": listed.erased}),
    )


def _changes(snapshot: Snapshot, before: pd.DataFrame | None, record: ReleaseRecord) -> Changes:
    """Compare the snapshots; where the old one is lost, compare their digests."""
    if before is not None:
        return changes_between(before, snapshot.table)
    return Changes(snapshot_lost=snapshot.digest != record.snapshot_digest)


def _table(record: ReleaseRecord, config: Config) -> pd.DataFrame | None:
    """Read the snapshot of a release, without the rows that were erased from it."""
    name = f"{record.snapshot_name}.parquet"
    file = config.workspace / "snapshots" / name
    if file.is_file():
        return read_table(file)[0]
    tracking = Tracking.of(config)
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(tracking, registry.training_of(tracking, record.version))
        fetched = run.fetch(f"snapshot/{name}", Path(folder))
        return None if fetched is None else read_table(fetched)[0]


def _failed(last: RetrainingCheck | None, inputs: str) -> Failed | None:
    if last is None or last.failure is None or last.failure.inputs != inputs:
        return None
    since = datetime.now(UTC) - last.failure.at
    return Failed(hours=since.total_seconds() / 3600, error=last.failure.error)
