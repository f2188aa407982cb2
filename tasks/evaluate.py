"""Measure a release as a whole on held-out patients, beside the releases that it must not fall behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.training_set import TrainingSet
from lidcflow.nodules.finding_figures import FindingDraws
from lidcflow.release.gate import judge_release
from lidcflow.release.outcome import Gate, GateCheck, Threshold
from lidcflow.release.pins import FindingPin, NodulePin
from lidcflow.release.record import FoldFacts, ReleaseRecord
from lidcflow.release.rules import Candidate, Champion
from lidcflow.release.threshold import operating_point, threshold_for
from lidcflow.stats import plots
from lidcflow.stats.bootstrap import RESAMPLES
from lidcflow.stats.estimate import Estimate, FindingFigures, Record, SplitFigures
from lidcflow.stats.held_out import held_out_figures, sector_figures
from lidcflow.stats.metrics import confusion
from tasks.candidate_scores import NO_EVIDENCE, Evidence
from tasks.champions import score_champion
from tasks.held_out_answers import HeldOutAnswers, SplitSeries, answer_held_out
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, run_of
from tasks.tracking.sector_models import SectorModel


class Evaluation(Record):
    """Figures of a release and of each of its sectors, its threshold, and the gate's verdict.

    Where it reads candidates, `nodules` is how they join, and `findings` what they reach by split. `folds` are those of
    a cross-validation.
    """

    metrics: dict[str, SplitFigures]
    sectors: tuple[dict[str, dict[str, Estimate]], ...]
    threshold: Threshold
    gate: Gate
    nodules: NodulePin | None = None
    findings: dict[str, FindingFigures] = Field(default_factory=dict)
    folds: tuple[FoldFacts, ...] = ()


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
    answered = answer_held_out(fixed, models, plan, detector, evidence)
    pin, splits, probabilities = answered.nodules, answered.splits, answered.probabilities
    for name, split in splits.items():
        _draw(run_of(Tracking.of(plan.config), run_id), name, probabilities[name], split.truth.labels)
    findings = (
        {name: _findings(detector, split, evidence) for name, split in splits.items()} if pin and detector else {}
    )
    common = _on_common_ground(answered, champions, plan, fixed.snapshot)
    found = _findings(detector, common.splits["validation"], evidence) if pin and detector else None
    asked = [_champion(champion, plan, common.splits["validation"], evidence) for champion in champions]
    return Evaluation(
        metrics={
            name: held_out_figures(
                split.truth,
                probabilities[name],
                answered.priors[name],
                seed=plan.config.train.seed,
                resamples=RESAMPLES,
            )
            for name, split in splits.items()
        },
        sectors=tuple(_sector_figures(model.slices, splits, probabilities) for model in models),
        threshold=_threshold(_candidate(answered, models), plan.config.train.target_sensitivity),
        gate=judge_release(_candidate(common, models, found), asked, plan.config.gate, of_systems),
        nodules=pin,
        findings={name: found.figures(pin.threshold) for name, found in findings.items() if pin},
        folds=answered.folds,
    )


def _on_common_ground(
    answered: HeldOutAnswers, champions: Sequence[ReleaseRecord], plan: TrainingPlan, snapshot: Snapshot
) -> HeldOutAnswers:
    """Keep of a cross-validation the validation patients that a champion of one training was not trained on either."""
    if not answered.folds or all(champion.folds for champion in champions):
        return answered
    split, held_out = answered.splits["validation"], set(snapshot.rows("validation")["series_instance_uid"])
    kept = np.array([i for i, uid in enumerate(split.uids) if uid in held_out], dtype=np.intp)
    return replace(
        answered,
        splits=answered.splits | {"validation": split.of(kept, plan.config)},
        probabilities=answered.probabilities | {"validation": answered.probabilities["validation"][kept]},
        priors=answered.priors | {"validation": answered.priors["validation"][kept]},
    )


def _findings(pin: FindingPin, split: SplitSeries, evidence: Evidence) -> FindingDraws:
    return FindingDraws(evidence[pin.key].marks_of(split.uids), split.sample.patients, split.sample.draws)


def _champion(record: ReleaseRecord, plan: TrainingPlan, split: SplitSeries, evidence: Evidence) -> Champion:
    """Predict with a champion, and add its findings where its detector is at hand."""
    champion = score_champion(record, plan, split.uids, evidence)
    if record.nodules is None or champion.probabilities is None:
        return champion
    return replace(champion, findings=_findings(record.nodules, split, evidence))


def _candidate(
    answered: HeldOutAnswers, models: Sequence[SectorModel], findings: FindingDraws | None = None
) -> Candidate:
    return Candidate(
        validation=answered.splits["validation"].sample,
        test=answered.splits["test"].sample,
        on_validation=answered.probabilities["validation"],
        on_test=answered.probabilities["test"],
        prior=answered.priors["validation"],
        sectors={number: model.slices for number, model in enumerate(models, start=1) if model.own},
        findings=findings,
    )


def _threshold(candidate: Candidate, target: float) -> Threshold:
    """Choose the threshold on validation, and measure its effect there and on test."""
    p_nodule = candidate.on_validation[..., 1:].sum(axis=-1)
    value = threshold_for(p_nodule.ravel(), candidate.validation.labels.ravel(), target)
    return Threshold(
        value=value,
        target_sensitivity=target,
        validation=operating_point(candidate.on_validation, candidate.validation, value),
        test=operating_point(candidate.on_test, candidate.test, value),
    )


def _sector_figures(
    slices: range, splits: dict[str, SplitSeries], probabilities: dict[str, NDArray[np.float64]]
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
