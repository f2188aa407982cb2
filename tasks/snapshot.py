"""The snapshot of a training, and the plan that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from lidcflow.config import Config, LabelConfig
from lidcflow.errors import LabelError
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.engines import require_engine
from lidcflow.learn.folds import require_folds
from lidcflow.learn.snapshot import Snapshot, build_snapshot
from lidcflow.learn.training_set import CandidateFacts, Nodules, TrainingSet, TrainingSettings, fix_training_set
from lidcflow.nodules.finding_digests import finding_digests
from lidcflow.nodules.weight_files import SEGMENTER
from lidcflow.release.embedded import embedded_detector_pin
from lidcflow.release.pins import BackbonePin, DetectorPin, FindingPin, SystemFacts
from lidcflow.release.training_inputs import deciding_nodules, inputs_digest
from lidcflow.stats.estimate import ClassCounts, MarkFacts
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore, VolumeSummary
from tasks.labels import Labelled, fit_for_learning, label_volumes, nodules_of_records
from tasks.snapshot_files import (
    candidates_of,
    config_of_snapshot,
    find_snapshot,
    require_candidates,
    require_volumes,
    snapshots_folder,
)
from tasks.tracking.connection import Tracking


class TrainingPlan(BaseModel):
    """Plan of one training; tasks carry it instead of the data.

    Parameters
    ----------
    snapshot_path : Path
        Parquet file of the snapshot.
    snapshot_digest : str
        Of its slices: series, labels, splits, volumes.
    snapshot_id : str
        Digest of the training set, which fixes sectors, weights and settings too; empty for an arm of an experiment.
    series : int
        How many are in it; Prefect keeps the parameters of a flow, and refuses more than 512 KiB of them.
    left_out : int
        Stored volumes without labels.
    wrong_pixels : int
        Stored volumes whose pixels look wrong; they are left out too.
    detector : DetectorPin, optional
        What reads the nodule candidates; None where the release has no findings, and for arms of an experiment, which
        compares sector models.
    detector_reason : str
        Why it is this one.
    systems : tuple of SystemFacts
        What became of the systems that say what findings are, once they are trained.
    marks : MarkFacts, optional
        What of the labels comes from readers' marks; None where nothing does.
    chosen : dict of str to Any
        What the configuration said of the settings that `config` has otherwise, see `lidcflow.release.choices`.
    inputs_digest : str
        Of all that decides the training, see `lidcflow.release.training_inputs.inputs_digest`.
    """

    model_config = ConfigDict(frozen=True)

    config: Config
    snapshot_path: Path
    snapshot_digest: str
    snapshot_id: str = ""
    series: int
    patients: int
    slices: ClassCounts
    left_out: int
    wrong_pixels: int = 0
    synthetic: bool
    backbone: BackbonePin
    detector: DetectorPin | None = None
    detector_reason: str = ""
    systems: tuple[SystemFacts, ...] = ()
    marks: MarkFacts | None = None
    chosen: dict[str, Any] = Field(default_factory=dict)
    inputs_digest: str

    @property
    def reader(self) -> FindingPin | None:
        """Pin of the detector and the systems chosen so far; None without a detector."""
        if self.detector is None:
            return None
        own = {
            "own_segmenter" if one.kind == SEGMENTER.stem else "own_malignancy": one.model
            for one in self.systems
            if one.pinned
        }
        return FindingPin.model_validate({**self.detector.model_dump(), **finding_digests(), **own})

    @property
    def series_uids(self) -> tuple[str, ...]:
        """SeriesInstanceUIDs of the snapshot, in order."""
        column = pd.read_parquet(self.snapshot_path, columns=["series_instance_uid"])["series_instance_uid"]
        return tuple(column.unique())


@task(name="plan", cache_policy=NO_CACHE)
def plan_training(config: Config, snapshot: str | None = None) -> TrainingPlan:
    """Fix the training set, from what is stored and labelled or from an earlier snapshot, and name the backbone."""
    return _plan_again(config, snapshot) if snapshot else _plan_anew(config)


def plan_slices(config: Config) -> TrainingPlan:
    """Take the snapshot that arms of an experiment share; each balances it by itself."""
    backbone = pin_backbone(config)
    records, labelled, wrong_pixels = labelled_volumes(config)
    snapshot = build_snapshot(records, labelled.labels, config.split)
    file = snapshots_folder(config.workspace) / f"{snapshot.digest[:12]}.parquet"
    if not file.exists():
        snapshot.save(file)
    plan = _plan(config, snapshot, file, backbone, synthetic=_is_synthetic(records, labelled))
    return plan.model_copy(update={"left_out": len(labelled.left_out), "wrong_pixels": wrong_pixels})


def _plan_anew(config: Config) -> TrainingPlan:
    backbone = pin_backbone(config)
    records, labelled, wrong_pixels = labelled_volumes(config)
    snapshot = build_snapshot(records, labelled.labels, config.split)
    candidates = candidates_of(snapshot, records, config.nodules)
    settings = TrainingSettings(
        created=datetime.now(UTC),
        lidcflow_version=installed_version("lidcflow"),
        preprocess=config.preprocess,
        preprocess_digest=config.preprocess.digest,
        labels=config.labels,
        split=config.split,
        train=config.train,
        backbone_id=backbone.id,
        synthetic=_is_synthetic(records, labelled),
        candidates=candidates,
        marks=mark_facts(labelled),
    )
    if config.train.folds:
        require_folds(snapshot, config.train.folds, config.split.seed)
    nodules = _held_out_nodules(snapshot, records, labelled, config.labels, folds=bool(config.train.folds))
    fixed = fix_training_set(snapshot, settings, nodules)
    plan = _plan_fixed(config, fixed, backbone)
    return plan.model_copy(update={"left_out": len(labelled.left_out), "wrong_pixels": wrong_pixels})


def _plan_again(config: Config, name: str) -> TrainingPlan:
    """Plan the training of an earlier snapshot: what the store got since does not enter."""
    fixed = TrainingSet.load(find_snapshot(name, config.workspace, Tracking.of(config)))
    config = config_of_snapshot(fixed, config)
    backbone = pin_backbone(config)
    require_volumes(fixed, training_store(config), backbone.id)
    require_candidates(fixed, training_store(config))
    fixed.require_same_weights()
    return _plan_fixed(config, fixed, backbone)


def _plan_fixed(config: Config, fixed: TrainingSet, backbone: BackbonePin) -> TrainingPlan:
    file = snapshots_folder(config.workspace) / f"{fixed.id}.parquet"
    if not file.exists():
        fixed.save(file)
    plan = _plan(config, fixed.snapshot, file, backbone, synthetic=fixed.settings.synthetic)
    candidates = fixed.settings.candidates
    detector = detector_for(candidates)
    digest = training_digest(config, fixed.snapshot, backbone.id, candidates)
    found = {"snapshot_id": fixed.digest, "detector": detector, "marks": fixed.settings.marks, "inputs_digest": digest}
    return plan.model_copy(update=found)


def _plan(config: Config, snapshot: Snapshot, file: Path, backbone: BackbonePin, *, synthetic: bool) -> TrainingPlan:
    table = snapshot.table
    return TrainingPlan(
        config=config,
        snapshot_path=file.absolute(),
        snapshot_digest=snapshot.digest,
        series=table["series_instance_uid"].nunique(),
        patients=table["patient_key"].nunique(),
        slices=ClassCounts.of(table["label"].to_numpy()),
        left_out=0,
        synthetic=synthetic,
        backbone=backbone,
        inputs_digest=training_digest(config, snapshot, backbone.id, None),
    )


def mark_facts(labelled: Labelled) -> MarkFacts | None:
    """Count the labels that come from readers' marks on reports; None where none do."""
    marked = labelled.collected.marked
    if not marked:
        return None
    labels = np.concatenate([labelled.labels[uid] for uid in marked])
    return MarkFacts(series=len(marked), marks=sum(marked.values()), slices=ClassCounts.of(labels))


def training_digest(config: Config, snapshot: Snapshot, backbone_id: str, candidates: CandidateFacts | None) -> str:
    """Hash what decides a training, see `lidcflow.release.training_inputs.inputs_digest`."""
    nodules = deciding_nodules(candidates.digest, detector_for(candidates), config.nodules) if candidates else None
    return inputs_digest(snapshot.digest, backbone_id, config.preprocess.digest, config.train, config.labels, nodules)


def detector_for(candidates: CandidateFacts | None) -> DetectorPin | None:
    """Return the detector that reads the candidates of a training; none where there are none.

    Raises
    ------
    WeightsError
        If its files are missing or damaged.
    """
    return embedded_detector_pin() if candidates else None


def pin_backbone(config: Config) -> BackbonePin:
    """Name the backbone that reads the volumes, once it is certain that it can.

    Raises
    ------
    EngineError
        If what computes its features is not installed.
    WeightsError
        If its weight file is missing or not the one that was asked for.
    """
    require_engine(config.train.engine)
    backbone = describe_backbone(config.train, config.preprocess.size)
    return BackbonePin(
        id=backbone.id, kind=backbone.kind, digest=backbone.digest, input=backbone.input, size=backbone.size
    )


def labelled_volumes(config: Config) -> tuple[list[VolumeSummary], Labelled, int]:
    """Return the volumes to learn from, their labels, and how many were left out because their pixels look wrong."""
    store = VolumeStore.of(config)
    stored = list(store.summaries(store.series_uids()))
    volumes = fit_for_learning(stored)
    if not volumes:
        beside = f"{len(stored)} whose pixels look wrong" if stored else "none"
        raise LabelError(
            f"labels: the store must hold volumes to learn from, got {beside}; run `lidcflow preprocess` first"
        )
    labelled = label_volumes(volumes, config.labels, store.records, config.reports_path)
    return volumes, labelled, len(stored) - len(volumes)


def _is_synthetic(volumes: Sequence[VolumeSummary], labelled: Labelled) -> bool:
    return any(volume.synthetic for volume in volumes if volume.series_instance_uid in labelled.labels)


def _held_out_nodules(
    snapshot: Snapshot, volumes: Sequence[VolumeSummary], labelled: Labelled, config: LabelConfig, *, folds: bool
) -> Nodules:
    """Find the nodules that a release is measured by, so that the file of the snapshot holds them too.

    In a cross-validation, `folds`, every series is held out once.
    """
    names = snapshot.table["series_instance_uid"]
    if not folds:
        names = names[snapshot.table["split"] != "train"]
    named = set(names.unique())
    held_out = [volume for volume in volumes if volume.series_instance_uid in named]
    expected = np.stack([labelled.labels[volume.series_instance_uid] for volume in held_out])
    found = nodules_of_records(held_out, labelled.collected, config, expected=expected)
    return {volume.series_instance_uid: nodules for volume, nodules in zip(held_out, found, strict=True)}
