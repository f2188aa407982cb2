"""One task a sector: train its model and log all of it as a run of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict

from lidcflow.learn.dataset import Snapshot, lacking_classes
from lidcflow.learn.figures import Tile, confusion, curves, montage, reliability, telling_rows
from lidcflow.learn.release import ClassCounts, Estimate, settings_of
from lidcflow.learn.sectors import sector_slices
from lidcflow.lidc.labels import CLASS_NAMES
from lidcflow.store.volumes import VolumeStore
from tasks.features import feature_source
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, open_run

if TYPE_CHECKING:
    from lidcflow.learn.training import TrainedSector

TILES = 6
"""Slices in a row of a montage."""


class SectorJob(BaseModel):
    """Which sector, of how many; `1 of 1` is the all-sector model."""

    model_config = ConfigDict(frozen=True)

    sector_num: int
    sector: int

    @property
    def title(self) -> str:
        """Name for people: `sector 03 of 05`."""
        return f"sector {self.sector:02d} of {self.sector_num:02d}" if self.sector_num > 1 else "all sectors"

    @property
    def name(self) -> str:
        """Name for files and models: `sector-03-of-05`."""
        return self.title.replace(" ", "-")


class SectorResult(BaseModel):
    """What became of a sector: a logged model, or the reason why there is none."""

    model_config = ConfigDict(frozen=True)

    job: SectorJob
    model_uri: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    training: ClassCounts = ClassCounts(non_nodule=0, benign=0, malignant=0)
    reason: str = ""


@task(
    task_run_name="train {job.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_sector(job: SectorJob, plan: TrainingPlan, parent_id: str) -> SectorResult:
    """Train the model of one sector on the snapshot, unless a class is absent there."""
    snapshot = Snapshot.load(plan.snapshot_path)
    slices = sector_slices(plan.config.preprocess.slices, job.sector_num)[job.sector - 1]
    tracking = Tracking.of(plan.config)
    tags = {"sector": str(job.sector), "sectors": str(job.sector_num)}
    with open_run(tracking, job.title, parent_id=parent_id, tags=tags) as run:
        run.params({"sector": job.sector, "first_slice": slices.start + 1, "last_slice": slices.stop})
        if lacking := lacking_classes(snapshot, slices):
            reason = f"no {' and no '.join(CLASS_NAMES[label] for label in lacking)} slice in training"
            run.tags({"fallback": reason})
            return SectorResult(job=job, run_id=run.run_id, reason=reason)
        return _train(job, plan, snapshot, slices, run)


def named_figures(figures: Mapping[str, Estimate], group: str) -> dict[str, float | None]:
    """Name figures for MLflow, which draws those of one group side by side."""
    return {f"{group}/{name}": estimate.value for name, estimate in figures.items()}


def _train(job: SectorJob, plan: TrainingPlan, snapshot: Snapshot, slices: range, run: Run) -> SectorResult:
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn.training import train_sector as fit
    from tasks.tracking.models import log_model

    config = plan.config.train
    store = VolumeStore.of(plan.config)
    source = feature_source(plan.config, plan.backbone.id)
    trained = fit(snapshot, slices, source, config, config.seed + job.sector)
    run.params(settings_of(config))
    run.params({f"train_{name}": count for name, count in trained.training.model_dump().items()})
    run.params({"best_epoch": trained.best_epoch + 1})
    run.tags({"finetuned": trained.remark} if trained.remark else {})
    run.series(_by_epoch(trained.history))
    run.metrics(named_figures(trained.validation, "validation") | named_figures(trained.test, "test"))
    _log_figures(run, trained, store, f"{job.title}, slices {slices.start + 1} to {slices.stop}")
    logged = log_model(run, trained.model, job.name)
    return SectorResult(
        job=job, model_uri=logged.uri, model_id=logged.model_id, run_id=run.run_id, training=trained.training
    )


def _by_epoch(history: Mapping[str, list[float]]) -> dict[str, dict[int, float]]:
    """Name curves so that MLflow draws training and validation of one quantity in one group."""
    series = {}
    for key, values in history.items():
        name = f"{key.removeprefix('val_')}/{'validation' if key.startswith('val_') else 'training'}"
        series[name] = dict(enumerate(values, start=1))
    return series


def _log_figures(run: Run, trained: TrainedSector, store: VolumeStore, title: str) -> None:
    rows, on_validation = trained.validation_rows, f"{title}: validation"
    p_nodule, labels = rows["p_nodule"].to_numpy(), rows["label"].to_numpy()
    run.figure(curves(trained.history, title), "curves.png")
    run.figure(confusion(trained.validation_confusion, on_validation), "confusion.png")
    run.figure(reliability(p_nodule, labels, on_validation), "reliability.png")
    run.figure(montage(_tiles(store, telling_rows(rows, TILES)), on_validation), "slices.png")


def _tiles(store: VolumeStore, kinds: Mapping[str, pd.DataFrame]) -> dict[str, list[Tile]]:
    return {kind: [_tile(store, row) for row in rows.itertuples()] for kind, rows in kinds.items()}


def _tile(store: VolumeStore, row: Any) -> Tile:
    hu = store.read_hu(row.series_instance_uid, slice(row.slice - 1, row.slice))
    return Tile(hu[0, 0], f"slice {row.slice}, {CLASS_NAMES[row.label]}\nP(nodule) {row.p_nodule:.2f}")
