"""The snapshot of a training, and the plan that follows from it."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict

from lidcflow.config import Config
from lidcflow.errors import LabelError
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.dataset import Snapshot, build_snapshot
from lidcflow.learn.engines import require_engine
from lidcflow.learn.release import BackbonePin, ClassCounts, inputs_digest
from lidcflow.store.volumes import VolumeStore
from tasks.labels import label_volumes


class TrainingPlan(BaseModel):
    """What one training is about; tasks carry it instead of the data.

    Parameters
    ----------
    snapshot_path : Path
        Parquet file of the snapshot.
    series : tuple of str
        SeriesInstanceUIDs in it.
    left_out : int
        Stored volumes without labels.
    inputs_digest : str
        Of all that decides the training, see `lidcflow.learn.release.inputs_digest`.
    """

    model_config = ConfigDict(frozen=True)

    config: Config
    snapshot_path: Path
    snapshot_digest: str
    series: tuple[str, ...]
    patients: int
    slices: ClassCounts
    left_out: int
    synthetic: bool
    backbone: BackbonePin
    inputs_digest: str


@task(name="plan", cache_policy=NO_CACHE)
def plan_training(config: Config) -> TrainingPlan:
    """Label what is stored, take the snapshot and name the backbone that will read it."""
    backbone = pin_backbone(config)
    store = VolumeStore.of(config)
    records = list(store.records(store.series_uids()))
    if not records:
        raise LabelError("labels: the store must hold volumes, got none; run `lidcflow preprocess` first")
    labelled = label_volumes(records, config.labels)
    snapshot = build_snapshot(records, labelled.labels, config.split)
    return TrainingPlan(
        config=config,
        snapshot_path=_save(snapshot, config.workspace / "snapshots"),
        snapshot_digest=snapshot.digest,
        series=tuple(labelled.labels),
        patients=snapshot.table["patient_key"].nunique(),
        slices=ClassCounts.of(snapshot.table["label"].to_numpy()),
        left_out=len(labelled.left_out),
        synthetic=any(record.synthetic for record in records if record.series_instance_uid in labelled.labels),
        backbone=backbone,
        inputs_digest=inputs_digest(
            snapshot.digest, backbone.id, config.preprocess.digest, config.train, config.labels
        ),
    )


def pin_backbone(config: Config) -> BackbonePin:
    """Name the backbone that reads the volumes, once it is certain that it can.

    Raises
    ------
    EngineError
        If what computes its features is not installed.
    WeightsError
        If its weight file is missing or not the one that was asked for.
    """
    require_engine(config.train)
    backbone = describe_backbone(config.train, config.preprocess.size)
    return BackbonePin(
        id=backbone.id, kind=backbone.kind, digest=backbone.digest, input=backbone.input, size=backbone.size
    )


def _save(snapshot: Snapshot, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{snapshot.digest[:12]}.parquet"
    if not file.exists():
        snapshot.save(file)
    return file.absolute()
