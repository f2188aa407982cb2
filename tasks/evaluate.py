"""Measure a release as a whole, with the models as they were logged, on the patients held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.learn import figures
from lidcflow.learn.baselines import sector_prior
from lidcflow.learn.dataset import Snapshot
from lidcflow.learn.evaluation import HeldOut, evaluate, slice_figures
from lidcflow.learn.feature_source import FeatureReader
from lidcflow.learn.gate import Champion, why_not_comparable
from lidcflow.learn.metrics import RESAMPLES, confusion
from lidcflow.learn.release import Estimate, Record, ReleaseRecord, SplitFigures, threshold_for
from lidcflow.learn.sectors import sector_slices
from lidcflow.store.volumes import VolumeStore
from tasks.features import feature_reader
from tasks.labels import nodules_of_records
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, run_of

PRIOR_SECTORS = 13
"""Of the baseline, however many sectors the release has: one figure to beat for all of them."""


class SectorModel(Record):
    """The model that answers for a sector; slices from 0, `stop` excluded."""

    start: int
    stop: int
    uri: str

    @property
    def slices(self) -> range:
        """Slices of the sector, from 0."""
        return range(self.start, self.stop)


class Evaluation(Record):
    """Figures of a release and of each sector in it, its threshold, and the champion on the same slices."""

    metrics: dict[str, SplitFigures]
    sectors: tuple[dict[str, dict[str, Estimate]], ...]
    threshold_nodule: float
    champion: Champion | None


@dataclass(frozen=True, eq=False)
class _Split:
    truth: HeldOut
    uids: tuple[str, ...]
    read: FeatureReader


@task(
    task_run_name="evaluate",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def evaluate_release(
    plan: TrainingPlan, models: Sequence[SectorModel], champion: ReleaseRecord | None, run_id: str
) -> Evaluation:
    """Measure the models together on validation and test, at natural prevalence, and draw it on the training's run."""
    snapshot = Snapshot.load(plan.snapshot_path)
    prior = prior_of(snapshot, plan.config.preprocess.slices)
    splits = {name: _read_split(snapshot.rows(name), plan) for name in ("validation", "test")}
    loaded = load_sectors(models, Tracking.of(plan.config))
    probabilities = {name: _probabilities(loaded, split) for name, split in splits.items()}
    metrics = {
        name: evaluate(split.truth, probabilities[name], prior, seed=plan.config.train.seed, resamples=RESAMPLES)
        for name, split in splits.items()
    }
    for name, split in splits.items():
        _draw(run_of(Tracking.of(plan.config), run_id), name, probabilities[name], split.truth.labels)
    p_nodule = probabilities["validation"][..., 1:].sum(axis=-1)
    target = plan.config.train.target_sensitivity
    return Evaluation(
        metrics=metrics,
        sectors=tuple(_sector_figures(model.slices, splits, probabilities) for model in models),
        threshold_nodule=threshold_for(p_nodule.ravel(), splits["validation"].truth.labels.ravel(), target),
        champion=_champion(champion, plan, splits["validation"], prior),
    )


def _read_split(rows: pd.DataFrame, plan: TrainingPlan) -> _Split:
    config = plan.config
    store = VolumeStore.of(config)
    series = rows.groupby("series_instance_uid", sort=True)
    labels = np.stack([of_series["label"].to_numpy() for _, of_series in series])
    truth = HeldOut(
        patient_keys=series["patient_key"].first().tolist(),
        labels=labels,
        nodules=nodules_of_records([store.record(str(uid)) for uid, _ in series], config.labels, expected=labels),
    )
    return _Split(truth, tuple(str(uid) for uid, _ in series), feature_reader(store, plan.backbone.id))


def prior_of(snapshot: Snapshot, slices: int) -> NDArray[np.float64]:
    """Return what the sector prior says of each slice, from the training patients."""
    rows = snapshot.rows("train")
    sectors = sector_slices(slices, min(PRIOR_SECTORS, slices))
    return sector_prior(rows["slice"].to_numpy() - 1, rows["label"].to_numpy(), sectors)


def load_sectors(models: Sequence[SectorModel], tracking: Tracking) -> list[tuple[range, Any]]:
    """Load the model of each sector, one that answers for several only once."""
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from tasks.tracking.models import load_model

    by_uri = {uri: load_model(tracking, uri) for uri in {model.uri for model in models}}
    return [(model.slices, by_uri[model.uri]) for model in models]


def _probabilities(models: Sequence[tuple[range, Any]], split: _Split) -> NDArray[np.float64]:
    from lidcflow.learn.predict import series_probabilities

    return series_probabilities(models, split.uids, split.read)


def _sector_figures(
    slices: range, splits: dict[str, _Split], probabilities: dict[str, NDArray[np.float64]]
) -> dict[str, dict[str, Estimate]]:
    inside = slice(slices.start, slices.stop)
    return {
        name: slice_figures(
            probabilities[name][:, inside].reshape(-1, 3), splits[name].truth.labels[:, inside].reshape(-1)
        )
        for name in splits
    }


def _draw(run: Run, split: str, probabilities: NDArray[np.float64], labels: NDArray[np.integer]) -> None:
    rows, flat = probabilities.reshape(-1, 3), labels.ravel()
    title = f"all sectors together: {split}"
    run.figure(figures.confusion(confusion(rows, flat), title), f"{split}-confusion.png")
    run.figure(figures.reliability(rows[:, 1:].sum(axis=1), flat, title), f"{split}-reliability.png")


def _champion(
    record: ReleaseRecord | None, plan: TrainingPlan, validation: _Split, prior: NDArray[np.float64]
) -> Champion | None:
    """Measure the champion on the same validation slices: with the same split, it was trained on none of them."""
    if record is None:
        return None
    if why_not := why_not_comparable(record, plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic):
        return Champion(version=record.version, figures=None, why_not=why_not)
    if record.snapshot_digest == plan.snapshot_digest:
        return Champion(version=record.version, figures=record.metrics["validation"])
    pins = [SectorModel(start=pin.slices.start, stop=pin.slices.stop, uri=pin.uri) for pin in record.sectors]
    probabilities = _probabilities(load_sectors(pins, Tracking.of(plan.config)), validation)
    measured = evaluate(validation.truth, probabilities, prior, seed=0, resamples=0)
    return Champion(version=record.version, figures=measured)
