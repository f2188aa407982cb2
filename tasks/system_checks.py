"""Compare the systems of findings with those of the release in force, on validation patients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.erase.workspace_files import NODULE_ROWS
from lidcflow.errors import ReleaseError, TrainingError, WeightsError
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_outline_choice import outline_choice_figures, score_outline
from lidcflow.learn.own_outlines import judged_nodules, outlined_rows
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.release.outcome import GateCheck
from lidcflow.release.pins import ModelPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.rules import system_kept
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.malignancy_figures import auroc_above
from lidcflow.store.volumes import VolumeStore
from tasks.finding_systems import SEGMENTER, nodules_folder
from tasks.nodule_views import read_views
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.finding_systems import MALIGNANCIES, SEGMENTERS
from tasks.tracking.weights import Loaded, WeightsModel

MALIGNANCY = "malignancy"


@task(
    task_run_name="compare systems of findings",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def compare_systems(plan: TrainingPlan, champion: ReleaseRecord) -> tuple[GateCheck, ...]:
    """Compare the systems that a training pins with those of the release in force, where they are others.

    One that can't be asked any more, or that there are no nodules for, leaves a check that was not judged.
    """
    return tuple(_checks(plan, champion))


def _checks(plan: TrainingPlan, champion: ReleaseRecord) -> Iterator[GateCheck]:
    if champion.nodules is None or plan.detector is None:
        return
    pinned = {MALIGNANCY if one.kind != SEGMENTER else SEGMENTER: one.model for one in plan.systems if one.pinned}
    theirs = {SEGMENTER: champion.nodules.own_segmenter, MALIGNANCY: champion.nodules.own_malignancy}
    for kind, compare in ((SEGMENTER, _outlines), (MALIGNANCY, _malignancy)):
        ours = pinned.get(kind)
        if ours == theirs[kind]:
            continue
        try:
            difference, patients = compare(plan, ours, theirs[kind])
        except (ReleaseError, WeightsError, TrainingError) as error:
            yield _unjudged(kind, f"version {champion.version}", plan, str(error))
        else:
            yield system_kept(kind, difference, patients, f"version {champion.version}", plan.config.gate)


def _unjudged(kind: str, champion: str, plan: TrainingPlan, why: str) -> GateCheck:
    check = system_kept(kind, Estimate(value=None), 0, champion, plan.config.gate)
    return check.model_copy(update={"passed": None, "remark": f"not judged: {why}"})


def _outlines(plan: TrainingPlan, ours: ModelPin | None, theirs: ModelPin | None) -> tuple[Estimate, int]:
    """Return the difference of Dice on the outlined nodules of validation patients, and how many patients those are."""
    tracking = Tracking.of(plan.config)
    pair = [_loaded(SEGMENTERS, pin, tracking) if pin else embedded_segmenter() for pin in (ours, theirs)]
    rows = NoduleRows.load(nodules_folder(plan) / NODULE_ROWS)
    validation = outlined_rows(rows, "validation")
    if validation.empty:
        raise TrainingError("there are no outlined nodules of validation patients")
    nodules = judged_nodules(validation, rows, VolumeStore.of(plan.config))
    scored = [(one.patient_key, [score_outline(segmenter, one) for segmenter in pair]) for one in nodules]
    keys = np.array([key for key, _ in scored])
    dice, error_mm = (
        np.array([[getattr(score, name) for score in both] for _, both in scored])
        for name in ("dice", "long_axis_error_mm")
    )
    figures = outline_choice_figures(dice, error_mm, keys, seed=plan.config.train.seed)
    return figures["dice_difference"], len(set(keys.tolist()))


def _malignancy(plan: TrainingPlan, ours: ModelPin | None, theirs: ModelPin | None) -> tuple[Estimate, int]:
    """Return the difference of the AUROC on rated nodules of validation patients, and how many patients those are."""
    tracking = Tracking.of(plan.config)
    pair = [_loaded(MALIGNANCIES, pin, tracking) if pin else embedded_malignancy() for pin in (ours, theirs)]
    rated = read_views(nodules_folder(plan)).get("validation")
    if rated is None:
        raise TrainingError("there are no rated nodules of validation patients")
    own, other = (system.probabilities(rated.views) for system in pair)
    malignant = rated.rating >= plan.config.labels.malignant_at
    difference = auroc_above(own, other, malignant, rated.patient, seed=plan.config.train.seed)
    return difference, len(np.unique(rated.patient))


def _loaded(models: WeightsModel[Loaded], pin: ModelPin, tracking: Tracking) -> Loaded:
    return models.load(tracking, pin.name, pin.version, pin.sha256)
