"""Measure a release as a whole on held-out patients, beside the releases that it must not fall behind."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from lidcflow.errors import ReleaseError
from lidcflow.learn.features import FeatureReader
from lidcflow.learn.predict import release_probabilities, series_probabilities
from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.training_set import Nodules, TrainingSet
from lidcflow.nodules.finding_figures import FindingDraws
from lidcflow.release.answer import UnlikeTraining, answers, fit_pin
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.gate import judge_release, why_not_comparable
from lidcflow.release.record import FindingPin, Gate, GateCheck, NodulePin, ReleaseRecord, Threshold
from lidcflow.release.rules import Candidate, Champion
from lidcflow.release.threshold import operating_point, threshold_for
from lidcflow.stats import plots
from lidcflow.stats.bootstrap import RESAMPLES
from lidcflow.stats.estimate import Estimate, FindingFigures, Record, SplitFigures
from lidcflow.stats.height_prior import height_prior
from lidcflow.stats.held_out import HeldOut, held_out_figures, sector_figures, sector_prior
from lidcflow.stats.metrics import confusion
from lidcflow.stats.paired import Sample
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.sectors import sector_slices
from tasks.candidate_scores import NO_EVIDENCE, Evidence
from tasks.features import feature_reader
from tasks.profile import measure_stored, unlike_series
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import limits_of
from tasks.tracking.runs import Run, run_of
from tasks.tracking.sector_models import SectorModel, load_sectors, sectors_of

HELD_OUT: tuple[Literal["validation"], Literal["test"]] = ("validation", "test")

PRIOR_SECTORS = 13
"""Of the baseline, however many sectors the release has: one figure to beat for all of them."""


def champions_of(plan: TrainingPlan) -> tuple[ReleaseRecord, ...]:
    """Return the release in force, if there is one, and the best earlier champion that can be compared with it."""
    tracking = Tracking.of(plan.config)
    version = registry.champion_version(tracking)
    if version is None:
        return ()
    in_force = registry.load_release(tracking, str(version))
    earlier = _comparable(plan, version) if plan.config.gate.best_ever else []
    return (in_force, *sorted(earlier, key=_auroc)[-1:])


def score_champion(
    record: ReleaseRecord, plan: TrainingPlan, uids: Sequence[str], evidence: Evidence = NO_EVIDENCE
) -> Champion:
    """Predict the validation series with a champion; with the same split, it was trained on none of them.

    Parameters
    ----------
    record : ReleaseRecord
        The champion.
    plan : TrainingPlan
        Of the new release.
    uids : sequence of str
        The validation series.
    evidence : Evidence
        What detectors say of them, that of the champion among them.
    """
    why_not = why_not_comparable(record, plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic)
    if not why_not and record.nodules and record.nodules.key not in evidence:
        why_not = (
            f"the detector of version {record.version}, {record.nodules.sha256[:12]}, must be at hand to compare with "
            "it, but is not; judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    store = VolumeStore.of(plan.config)
    features = [] if why_not else [store.read_features(uid, record.backbone.id) for uid in uids]
    found = [one for one in features if one is not None]
    if len(found) < len(features):
        why_not = (
            f"every validation series must have the features of version {record.version}, {record.backbone.id}, but "
            "some lack them; judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    if why_not:
        return Champion(version=record.version, probabilities=None, why_not=why_not)
    models = load_sectors(sectors_of(record), Tracking.of(plan.config))
    own = release_probabilities(models, np.stack(found))
    return Champion(version=record.version, probabilities=_champion_answers(record, own, uids, plan, evidence))


def _champion_answers(
    record: ReleaseRecord, own: NDArray[np.float64], uids: Sequence[str], plan: TrainingPlan, evidence: Evidence
) -> NDArray[np.float64]:
    """Join a champion's sector models with its findings, as inference with it does."""
    pin = record.nodules
    if pin is None:
        return own
    limits = limits_of(record, Tracking.of(plan.config))
    unlike = unlike_series(measure_stored(tuple(uids), record.backbone.id, plan.config), limits) if limits else None
    others = None
    if unlike is not None and unlike.any():
        embedded = embedded_pin(own.shape[1])
        others = UnlikeTraining(unlike, embedded, evidence[embedded.key].best_of(uids))
    return answers(pin, own, evidence[pin.key].best_of(uids), others)


def _comparable(plan: TrainingPlan, in_force: int) -> list[ReleaseRecord]:
    """Load the earlier champions that can be compared; what can't be read any more is no opponent."""
    tracking, records = Tracking.of(plan.config), []
    for version in registry.promoted_versions(tracking):
        if version == in_force:
            continue
        with suppress(ReleaseError):
            records.append(registry.load_release(tracking, str(version)))
    facts = (plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic)
    return [record for record in records if not why_not_comparable(record, *facts)]


def _auroc(record: ReleaseRecord) -> tuple[float, int]:
    """Order by slice AUROC on validation as it was measured then; of equal ones the newest counts as best."""
    value = record.metrics["validation"].release["auroc_nodule"].value
    return (-1.0 if value is None else value, record.version)


class Evaluation(Record):
    """Figures of a release and of each sector in it, its threshold, and what the gate says of it.

    Where it reads candidates, `nodules` is how they join, and `findings` what they reach by split.
    """

    metrics: dict[str, SplitFigures]
    sectors: tuple[dict[str, dict[str, Estimate]], ...]
    threshold: Threshold
    gate: Gate
    nodules: NodulePin | None = None
    findings: dict[str, FindingFigures] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Split:
    uids: tuple[str, ...]
    truth: HeldOut
    read: FeatureReader
    sample: Sample


@task(
    task_run_name="evaluate",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def evaluate_release(
    plan: TrainingPlan,
    models: Sequence[SectorModel],
    champions: Sequence[ReleaseRecord],
    run_id: str,
    detector: FindingPin | None = None,
    evidence: Evidence = NO_EVIDENCE,
    of_systems: Sequence[GateCheck] = (),
) -> Evaluation:
    """Measure the models together on validation and test, judge them, and draw it on the training's run.

    Parameters
    ----------
    plan : TrainingPlan
        What was trained.
    models : sequence of SectorModel
        The sector models.
    champions : sequence of ReleaseRecord
        What it must not fall behind.
    run_id : str
        Of the training.
    detector : FindingPin, optional
        What reads the candidates; None for a release without findings.
    evidence : Evidence
        What detectors say of the held-out series: that of the release and those of the champions.
    of_systems : sequence of GateCheck
        How the systems that say what findings are compare with the champion's.
    """
    fixed = TrainingSet.load(plan.snapshot_path)
    snapshot = fixed.snapshot
    prior = prior_of(snapshot, plan.config.preprocess.slices)
    splits: dict[str, _Split] = {name: _read_split(snapshot.rows(name), fixed.nodules, plan) for name in HELD_OUT}
    pin, probabilities = _answers(splits, models, plan, _Found(detector, evidence, height_of(snapshot, len(prior))))
    for name, split in splits.items():
        _draw(run_of(Tracking.of(plan.config), run_id), name, probabilities[name], split.truth.labels)
    findings = (
        {name: _findings(detector, split, evidence) for name, split in splits.items()} if pin and detector else {}
    )
    candidate = _candidate(splits, probabilities, prior, models, findings.get("validation"))
    asked = [_champion(champion, plan, splits["validation"], evidence) for champion in champions]
    return Evaluation(
        metrics={
            name: held_out_figures(
                split.truth, probabilities[name], prior, seed=plan.config.train.seed, resamples=RESAMPLES
            )
            for name, split in splits.items()
        },
        sectors=tuple(_sector_figures(model.slices, splits, probabilities) for model in models),
        threshold=_threshold(candidate, plan.config.train.target_sensitivity),
        gate=judge_release(candidate, asked, plan.config.gate, of_systems),
        nodules=pin,
        findings={name: found.figures(pin.threshold) for name, found in findings.items() if pin},
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """What is known of nodules beside the sector models: detector, its evidence, and the heights of nodules."""

    detector: FindingPin | None
    evidence: Evidence
    heights: NDArray[np.float64]


def _answers(
    splits: dict[str, _Split], models: Sequence[SectorModel], plan: TrainingPlan, found: _Found
) -> tuple[NodulePin | None, dict[str, NDArray[np.float64]]]:
    """Predict with the sector models, fit on validation how the detector joins them, and join both splits."""
    loaded = load_sectors(models, Tracking.of(plan.config))
    own = {name: _probabilities(loaded, split) for name, split in splits.items()}
    if found.detector is None or found.detector.key not in found.evidence:
        return None, own
    evidence, held_out = found.evidence[found.detector.key], splits["validation"]
    best = evidence.best_of(held_out.uids)
    pin = fit_pin(found.detector, own["validation"], best, held_out.truth.labels, found.heights)
    return pin, {name: answers(pin, own[name], evidence.best_of(split.uids)) for name, split in splits.items()}


def _findings(pin: FindingPin, split: _Split, evidence: Evidence) -> FindingDraws:
    return FindingDraws(evidence[pin.key].marks_of(split.uids), split.sample.patients, split.sample.draws)


def _champion(record: ReleaseRecord, plan: TrainingPlan, split: _Split, evidence: Evidence) -> Champion:
    """Predict with a champion, and add its findings where its detector is at hand."""
    champion = score_champion(record, plan, split.uids, evidence)
    if record.nodules is None or champion.probabilities is None:
        return champion
    return replace(champion, findings=_findings(record.nodules, split, evidence))


def _read_split(rows: pd.DataFrame, nodules: Nodules, plan: TrainingPlan) -> _Split:
    config = plan.config
    series = rows.groupby("series_instance_uid", sort=True)
    labels = np.stack([of_series["label"].to_numpy() for _, of_series in series])
    truth = HeldOut(
        patient_keys=series["patient_key"].first().tolist(),
        labels=labels,
        nodules=[list(nodules.get(str(uid), ())) for uid, _ in series],
    )
    uids = tuple(str(uid) for uid, _ in series)
    sample = Sample.of(truth.patient_keys, labels, seed=config.train.seed, resamples=config.gate.resamples)
    return _Split(uids, truth, feature_reader(VolumeStore.of(config), plan.backbone.id), sample)


def prior_of(snapshot: Snapshot, slices: int) -> NDArray[np.float64]:
    """Return what the sector prior says of each slice, from the training patients."""
    rows = snapshot.rows("train")
    sectors = sector_slices(slices, min(PRIOR_SECTORS, slices))
    return sector_prior(rows["slice"].to_numpy() - 1, rows["label"].to_numpy(), sectors)


def height_of(snapshot: Snapshot, slices: int) -> NDArray[np.float64]:
    """Return what the chest-height prior says of each slice, from the training patients."""
    rows = snapshot.rows("train")
    return height_prior(rows["slice"].to_numpy() - 1, rows["label"].to_numpy(), slices)


def _probabilities(models: Sequence[tuple[range, Any]], split: _Split) -> NDArray[np.float64]:
    return series_probabilities(models, split.uids, split.read)


def _candidate(
    splits: dict[str, _Split],
    probabilities: dict[str, NDArray[np.float64]],
    prior: NDArray[np.float64],
    models: Sequence[SectorModel],
    findings: FindingDraws | None,
) -> Candidate:
    return Candidate(
        validation=splits["validation"].sample,
        test=splits["test"].sample,
        on_validation=probabilities["validation"],
        on_test=probabilities["test"],
        prior=prior,
        sectors={number: model.slices for number, model in enumerate(models, start=1) if model.own},
        findings=findings,
    )


def _threshold(candidate: Candidate, target: float) -> Threshold:
    """Choose the threshold on validation and measure what it comes to there and on test."""
    p_nodule = candidate.on_validation[..., 1:].sum(axis=-1)
    value = threshold_for(p_nodule.ravel(), candidate.validation.labels.ravel(), target)
    return Threshold(
        value=value,
        target_sensitivity=target,
        validation=operating_point(candidate.on_validation, candidate.validation, value),
        test=operating_point(candidate.on_test, candidate.test, value),
    )


def _sector_figures(
    slices: range, splits: dict[str, _Split], probabilities: dict[str, NDArray[np.float64]]
) -> dict[str, dict[str, Estimate]]:
    inside = slice(slices.start, slices.stop)
    return {
        name: sector_figures(
            probabilities[name][:, inside].reshape(-1, 3), splits[name].truth.labels[:, inside].reshape(-1)
        )
        for name in splits
    }


def _draw(run: Run, split: str, probabilities: NDArray[np.float64], labels: NDArray[np.integer]) -> None:
    rows, flat = probabilities.reshape(-1, 3), labels.ravel()
    title = f"all sectors together: {split}"
    run.figure(plots.confusion_plot(confusion(rows, flat), title), f"{split}-confusion.png")
    run.figure(plots.reliability_plot(rows[:, 1:].sum(axis=1), flat, title), f"{split}-reliability.png")
