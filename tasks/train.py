"""One task a sector: train its model, keep it, and log all of it as a run of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.errors import TrackingUnavailable
from lidcflow.experiment.comparison import Spread
from lidcflow.labels.slices import CLASS_NAMES
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.snapshot import Snapshot, lacking_classes
from lidcflow.learn.training_set import TrainingSet
from lidcflow.release.training_inputs import training_settings
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.plots import Tile, confusion_plot, curves, example_rows, montage, reliability_plot
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.here import worker_here
from tasks.features import feature_source
from tasks.fit_sector import fit_folds, fit_sector, slices_of
from tasks.retries import is_worth_a_retry
from tasks.run_page import run_log
from tasks.sector import SectorJob, SectorResult, find_logged, note_logged, sector_folder
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.models import log_model
from tasks.tracking.runs import Run, open_run

if TYPE_CHECKING:
    from lidcflow.learn.train import TrainedSector

TILES = 6
"""Slices in a row of a montage."""


@task(
    task_run_name="train {job.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_sector(job: SectorJob, plan: TrainingPlan, run_id: str | None) -> SectorResult:
    """Train the model of one sector and keep it; log it below the run of the training where MLflow answers."""
    began_s = time.monotonic()
    try:
        kept = _kept(job, plan)
    except Exception as error:
        _log_failure(job, plan, run_id, error)
        raise
    run_log().info(_told(job, kept, time.monotonic() - began_s))
    if run_id is not None:
        with suppress(TrackingUnavailable):
            return _logged(job, plan, run_id, kept)
    return SectorResult(job=job, waiting=True)


@task(
    task_run_name="log {job.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def log_sector(job: SectorJob, plan: TrainingPlan, run_id: str) -> SectorResult:
    """Log a sector that waited for MLflow."""
    return _logged(job, plan, run_id, _kept(job, plan))


def _told(job: SectorJob, kept: TrainedSector | str, seconds: float) -> str:
    """Return the line of a sector in the log of the run: what came of it, where, and how long it took."""
    if isinstance(kept, str):
        return f"{job.title}: no model of its own, {kept}"
    counts = kept.training
    return (
        f"{job.title}: trained on {counts.total} slices ({counts.non_nodule} without nodule, {counts.benign} benign, "
        f"{counts.malignant} malignant) in {seconds:.1f} s on {worker_here()}"
    )


HEADLINES = {
    "auroc_nodule": "AUROC of slices",
    "sensitivity_at_5": "Nodules in 5 slices",
    "sensitivity_at_10": "Nodules in 10 slices",
}
"""Figures that people compare first; all others are in groups, such as `validation/`."""

CHART_NOTE = (
    "Charts: `accuracy` is the share of slices whose most probable class of three is right: where the classes are "
    "balanced, 0.33 is chance. `loss` is weighted by class and has the penalties on weights in it; lower is better."
)


def profile_of(plan: TrainingPlan) -> dict[str, int]:
    """Count what MLflow shows beside the data set of a training."""
    return {"series": plan.series, "patients": plan.patients, **plan.slices.model_dump()}


def headlines(figures: Mapping[str, Estimate] | Mapping[str, Spread], split: str) -> dict[str, float | None]:
    """Name the figures that people compare first, by plain names without a group.

    Examples
    --------
    >>> headlines({"auroc_nodule": Estimate(value=0.75), "log_loss": Estimate(value=1.0)}, "test")
    {'AUROC of slices on test': 0.75}
    """
    on = "" if split == "validation" else f" on {split}"
    return {f"{name}{on}": figures[key].value for key, name in HEADLINES.items() if key in figures}


def named_figures(figures: Mapping[str, Estimate], group: str) -> dict[str, float | None]:
    """Name figures for MLflow, which draws those of one group side by side."""
    return {f"{group}/{name}": estimate.value for name, estimate in figures.items()}


def _kept(job: SectorJob, plan: TrainingPlan) -> TrainedSector | str:
    """Return the trained sector, from an earlier attempt if one came so far, or why it trains no model."""
    snapshot, config = TrainingSet.load(plan.snapshot_path).snapshot, plan.config
    if reason := _why_no_model(snapshot, slices_of(job, config.preprocess.slices), config):
        return reason
    source = feature_source(config, plan.backbone.id)
    fit = fit_folds if config.train.folds else fit_sector
    return fit(job, snapshot, source, config, folder=sector_folder(plan, job))


def _why_no_model(snapshot: Snapshot, slices: range, config: Config) -> str:
    """Return which classes a sector lacks in training, in one fold at least; empty where it trains a model."""
    folds = config.train.folds
    snapshots = fold_snapshots(snapshot, folds, config.split.seed) if folds else [snapshot]
    for number, one in enumerate(snapshots, start=1):
        if lacking := lacking_classes(one, slices):
            inside = f" of fold {number}" if folds else ""
            return f"no {' and no '.join(CLASS_NAMES[label] for label in lacking)} slice in training{inside}"
    return ""


def _logged(job: SectorJob, plan: TrainingPlan, run_id: str, kept: TrainedSector | str) -> SectorResult:
    """Log a sector as a run of its own, unless an earlier attempt has."""
    if found := find_logged(plan, job, run_id):
        return found
    slices = slices_of(job, plan.config.preprocess.slices)
    with _sector_run(job, plan, run_id) as run:
        run.reads(plan.snapshot_path, name="snapshot", digest=plan.snapshot_id, profile=profile_of(plan))
        params = {"sector": job.sector, "first_slice": slices.start + 1, "last_slice": slices.stop}
        if isinstance(kept, str):
            run.params(params)
            run.tags({"fallback": kept})
            result = SectorResult(job=job, run_id=run.run_id, reason=kept)
        else:
            run.params(params | _facts(plan, kept))
            result = _log_model(job, plan, run, kept)
    note_logged(plan, run_id, result)
    return result


def _log_failure(job: SectorJob, plan: TrainingPlan, run_id: str | None, error: Exception) -> None:
    """Leave a failed run with the reason; an unavailable server must not hide the reason from the flow."""
    if run_id is not None:
        with suppress(type(error), TrackingUnavailable), _sector_run(job, plan, run_id):
            raise error


def _sector_run(job: SectorJob, plan: TrainingPlan, run_id: str) -> AbstractContextManager[Run]:
    tags = {"sector": str(job.sector), "sectors": str(job.sector_num)}
    return open_run(Tracking.of(plan.config), job.title, parent_id=run_id, note=CHART_NOTE, tags=tags)


def _facts(plan: TrainingPlan, trained: TrainedSector) -> dict[str, Any]:
    """Return how a sector was trained, and on how many slices of each class."""
    counts = {f"train_{name}": count for name, count in trained.training.model_dump().items()}
    return {**training_settings(plan.config.train), **counts, "best_epoch": trained.best_epoch + 1}


def _log_model(job: SectorJob, plan: TrainingPlan, run: Run, trained: TrainedSector) -> SectorResult:
    slices = slices_of(job, plan.config.preprocess.slices)
    run.tags({"finetuned": trained.remark} if trained.remark else {})
    run.series(_by_epoch(trained.history))
    run.metrics(named_figures(trained.validation, "validation") | named_figures(trained.test, "test"))
    title = f"{job.title}, slices {slices.start + 1} to {slices.stop}"
    _log_figures(run, trained, VolumeStore.of(plan.config), title)
    logged = log_model(run, Tracking.of(plan.config), trained.model, job.name)
    return SectorResult(
        job=job,
        model_uri=logged.uri,
        model_id=logged.model_id,
        model_sha256=logged.sha256,
        run_id=run.run_id,
        training=trained.training,
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
    run.figure(confusion_plot(trained.validation_confusion, on_validation), "confusion.png")
    run.figure(reliability_plot(p_nodule, labels, on_validation), "reliability.png")
    run.figure(montage(_tiles(store, example_rows(rows, TILES)), on_validation), "slices.png")


def _tiles(store: VolumeStore, kinds: Mapping[str, pd.DataFrame]) -> dict[str, list[Tile]]:
    return {kind: [_tile(store, row) for row in rows.itertuples()] for kind, rows in kinds.items()}


def _tile(store: VolumeStore, row: Any) -> Tile:
    hu = store.read_hu(row.series_instance_uid, slice(row.slice - 1, row.slice))
    return Tile(hu[0, 0], f"slice {row.slice}, {CLASS_NAMES[row.label]}\nP(nodule) {row.p_nodule:.2f}")
