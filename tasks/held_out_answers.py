"""Predictions of a training's sector models for held-out patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config import Config
from lidcflow.learn.features import FeatureReader
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.predict import member_probabilities, series_probabilities
from lidcflow.learn.splits import member_for
from lidcflow.learn.training_set import Nodules, TrainingSet
from lidcflow.release.answer import answers, fit_pin, joined_answers
from lidcflow.release.pins import FindingPin, NodulePin
from lidcflow.release.record import FoldFacts
from lidcflow.stats.height_prior import height_prior
from lidcflow.stats.held_out import HeldOut, sector_figures, sector_prior
from lidcflow.stats.paired import Sample
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.sectors import sector_slices
from tasks.candidate_scores import Evidence
from tasks.features import feature_reader
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.sector_models import SectorModel, load_sectors

HELD_OUT: tuple[Literal["validation"], Literal["test"]] = ("validation", "test")

PRIOR_SECTORS = 13
"""Sectors of the baseline, whatever number the release has: one figure to beat for all releases."""


@dataclass(frozen=True, eq=False)
class SplitSeries:
    """The series of a split: what is true of them, what reads their features, and the draws of their patients."""

    uids: tuple[str, ...]
    truth: HeldOut
    read: FeatureReader
    sample: Sample

    def of(self, chosen: NDArray[np.intp], config: Config) -> SplitSeries:
        """Return some of the series, by their places from 0, with draws of their patients."""
        places = chosen.tolist()
        truth = HeldOut(
            patient_keys=[self.truth.patient_keys[i] for i in places],
            labels=self.truth.labels[chosen],
            nodules=[self.truth.nodules[i] for i in places],
        )
        return SplitSeries(tuple(self.uids[i] for i in places), truth, self.read, _sample(truth, config))


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """Predictions of a training for its held-out patients.

    Parameters
    ----------
    splits : dict of str to SplitSeries
        Validation and test; in a cross-validation both hold all series.
    probabilities : dict of str to (series, slices, 3) array
        Of the release; in a cross-validation of the fold in which the patient is in the split.
    priors : dict of str to (slices, 3) or (series, slices, 3) array
        The sector prior of the training patients.
    nodules : NodulePin, optional
        How the detector joins the sector models; None without findings.
    folds : tuple of FoldFacts
        Of a cross-validation.
    """

    splits: dict[str, SplitSeries]
    probabilities: dict[str, NDArray[np.float64]]
    priors: dict[str, NDArray[np.float64]]
    nodules: NodulePin | None
    folds: tuple[FoldFacts, ...] = ()


def answer_held_out(
    fixed: TrainingSet,
    models: Sequence[SectorModel],
    plan: TrainingPlan,
    detector: FindingPin | None,
    evidence: Evidence,
) -> HeldOutAnswers:
    """Predict validation and test patients with the sector models, and fit on validation how a detector joins them.

    Parameters
    ----------
    fixed : TrainingSet
        What was trained on.
    models : sequence of SectorModel
        The sector models.
    plan : TrainingPlan
        What was trained.
    detector : FindingPin, optional
        What reads the candidates.
    evidence : Evidence
        What it says of the series.
    """
    if detector is not None and detector.key not in evidence:
        detector = None
    answer = _answer_folds if plan.config.train.folds else _answer_splits
    return answer(fixed, models, plan, _Detected(detector, evidence))


@dataclass(frozen=True, eq=False)
class _Detected:
    """The detector beside the sector models, if there is one, and its evidence."""

    detector: FindingPin | None
    evidence: Evidence

    def best_of(self, uids: Sequence[str]) -> list[NDArray[np.floating] | None]:
        return self.evidence[self.detector.key].best_of(uids) if self.detector else [None] * len(uids)

    def fit(
        self, sectors: NDArray[np.float64], uids: Sequence[str], labels: NDArray[np.integer], rows: pd.DataFrame
    ) -> NodulePin | None:
        """Fit how the detector joins sector models, on series; `rows` are those of the training patients."""
        if self.detector is None:
            return None
        return fit_pin(self.detector, sectors, self.best_of(uids), labels, height_of(rows, labels.shape[1]))


def _answer_splits(
    fixed: TrainingSet, models: Sequence[SectorModel], plan: TrainingPlan, found: _Detected
) -> HeldOutAnswers:
    snapshot, slices = fixed.snapshot, plan.config.preprocess.slices
    splits: dict[str, SplitSeries] = {name: read_series(snapshot.rows(name), fixed.nodules, plan) for name in HELD_OUT}
    loaded = load_sectors(models, Tracking.of(plan.config))
    own = {name: series_probabilities(loaded, split.uids, split.read) for name, split in splits.items()}
    held_out, training = splits["validation"], snapshot.rows("train")
    pin = found.fit(own["validation"], held_out.uids, held_out.truth.labels, training)
    return HeldOutAnswers(
        splits=splits,
        probabilities={name: answers(pin, own[name], found.best_of(split.uids)) for name, split in splits.items()},
        priors=dict.fromkeys(HELD_OUT, prior_of(training, slices)),
        nodules=pin,
    )


def _answer_folds(
    fixed: TrainingSet, models: Sequence[SectorModel], plan: TrainingPlan, found: _Detected
) -> HeldOutAnswers:
    """Answer for every patient with the fold in which the patient is in validation, and with that of test."""
    config, table = plan.config, fixed.snapshot.table
    folds, seed = config.train.folds or 0, config.split.seed
    series = read_series(table, fixed.nodules, plan)
    members = {name: members_for(series.truth.patient_keys, name, folds, seed) for name in HELD_OUT}
    loaded = load_sectors(models, Tracking.of(config))
    own = {name: member_probabilities(loaded, series.uids, of.tolist(), series.read) for name, of in members.items()}
    training = [of_fold.rows("train") for of_fold in fold_snapshots(fixed.snapshot, folds, seed)]
    pins = [
        _fit_on(np.flatnonzero(members["validation"] == fold), own["validation"], series, found, rows)
        for fold, rows in enumerate(training)
    ]
    best = found.best_of(series.uids)
    probabilities: dict[str, NDArray[np.float64]] = {
        name: joined_answers([pins[member] for member in of], own[name], best) for name, of in members.items()
    }
    priors = np.stack([prior_of(rows, config.preprocess.slices) for rows in training])
    return HeldOutAnswers(
        splits=dict.fromkeys(HELD_OUT, series),
        probabilities=probabilities,
        priors={name: priors[of] for name, of in members.items()},
        nodules=found.fit(own["test"], series.uids, series.truth.labels, table),
        folds=tuple(_facts(fold, pin, probabilities, members, series) for fold, pin in enumerate(pins)),
    )


def _fit_on(
    chosen: NDArray[np.intp],
    sectors: NDArray[np.float64],
    series: SplitSeries,
    found: _Detected,
    training: pd.DataFrame,
) -> NodulePin | None:
    """Fit how the detector joins the models of a fold on its validation series."""
    uids = [series.uids[i] for i in chosen]
    return found.fit(sectors[chosen], uids, series.truth.labels[chosen], training)


def _facts(
    fold: int,
    pin: NodulePin | None,
    probabilities: Mapping[str, NDArray[np.float64]],
    members: Mapping[Literal["validation", "test"], NDArray[np.intp]],
    series: SplitSeries,
) -> FoldFacts:
    chosen = {name: np.flatnonzero(of == fold) for name, of in members.items()}
    figures = {
        name: sector_figures(probabilities[name][of].reshape(-1, 3), series.truth.labels[of].ravel())
        for name, of in chosen.items()
    }
    patients = {series.truth.patient_keys[int(i)] for i in chosen["test"]}
    return FoldFacts(fold=fold + 1, patients=len(patients), series=len(chosen["test"]), nodules=pin, **figures)


def members_for(
    patient_keys: Sequence[str], split: Literal["validation", "test"], folds: int, seed: int
) -> NDArray[np.intp]:
    """Return for each patient the fold, from 0, in which the patient is in `split`."""
    return np.array([member_for(key, split, folds, seed) for key in patient_keys], dtype=np.intp)


def read_series(rows: pd.DataFrame, nodules: Nodules, plan: TrainingPlan) -> SplitSeries:
    """Read what is true of the series of some rows of a snapshot.

    Parameters
    ----------
    rows : DataFrame
        Whole series.
    nodules : mapping
        Their nodules, by SeriesInstanceUID.
    plan : TrainingPlan
        Names the store and the draws.
    """
    config = plan.config
    series = rows.groupby("series_instance_uid", sort=True)
    labels = np.stack([of_series["label"].to_numpy() for _, of_series in series])
    truth = HeldOut(
        patient_keys=series["patient_key"].first().tolist(),
        labels=labels,
        nodules=[list(nodules.get(str(uid), ())) for uid, _ in series],
    )
    uids = tuple(str(uid) for uid, _ in series)
    return SplitSeries(uids, truth, feature_reader(VolumeStore.of(config), plan.backbone.id), _sample(truth, config))


def _sample(truth: HeldOut, config: Config) -> Sample:
    return Sample.of(truth.patient_keys, truth.labels, seed=config.train.seed, resamples=config.gate.resamples)


def prior_of(training: pd.DataFrame, slices: int) -> NDArray[np.float64]:
    """Return the sector prior's prediction for each slice, from the training patients."""
    sectors = sector_slices(slices, min(PRIOR_SECTORS, slices))
    return sector_prior(training["slice"].to_numpy() - 1, training["label"].to_numpy(), sectors)


def height_of(training: pd.DataFrame, slices: int) -> NDArray[np.float64]:
    """Return the chest-height prior's prediction for each slice, from the training patients."""
    return height_prior(training["slice"].to_numpy() - 1, training["label"].to_numpy(), slices)
