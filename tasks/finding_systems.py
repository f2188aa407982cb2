"""The systems of a training that say what findings are: a segmenter, and several for malignancy.

Each is a task of its own beside the sectors. All that were trained are registered; a release pins the segmenter, and
the malignancy system with the lowest log loss on validation, only where they are surely better than the package's.
``<workspace>/trainings/<inputs>/nodules/`` holds the nodules that they learn from, what malignancy systems see of them,
and the systems: an erasure that meets a series of theirs deletes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from pydantic import Field

from lidcflow.erase.workspace_files import NODULE_ROWS
from lidcflow.errors import LabelError, TrainingError
from lidcflow.learn.nodule_rows import NoduleRows, find_nodules
from lidcflow.learn.own_malignancy_choice import PINNED
from lidcflow.learn.own_malignancy_examples import why_not_trained
from lidcflow.learn.own_segmenter import OwnSegmenter, why_no_segmenter
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.pins import ModelPin, SystemFacts
from lidcflow.stats.estimate import Estimate
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.map import what_ended
from tasks.detector import CROSS_VALIDATED, SWITCHED_OFF
from tasks.fit import fit_malignancy, fit_segmenter, malignancy_figures_on, segmenter_figures
from tasks.nodule_model import MODEL, ModelResult, NoduleModel, facts_of
from tasks.nodule_views import keep_views, read_views
from tasks.progress import stage
from tasks.readings import readings_for
from tasks.retries import is_worth_a_retry
from tasks.sector import training_folder
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.finding_systems import MALIGNANCIES, SEGMENTERS, system_model_name
from tasks.tracking.runs import Run
from tasks.train import named_figures

if TYPE_CHECKING:
    from lidcflow.learn.own_malignancy import OwnMalignancy

FOLDER = "nodules"

SEGMENTER = "segmenter"

KINDS = (SEGMENTER, *PINNED)

Reasons = Mapping[str, str]
"""The reason why a kind of system is not trained; empty where it is."""


class SystemResult(ModelResult):
    """The result of training a system.

    Parameters
    ----------
    validation, test : dict of str to Estimate
        Its figures; on validation beside the package's own, on which it is chosen.
    """

    validation: dict[str, Estimate] = Field(default_factory=dict)
    test: dict[str, Estimate] = Field(default_factory=dict)


def nodules_folder(plan: TrainingPlan) -> Path:
    """Return where the nodules that systems learn from are kept."""
    return training_folder(plan) / FOLDER


def find_nodules_of(plan: TrainingPlan) -> dict[str, str]:
    """Find the nodules of a training that cubes show, and keep them for the tasks that train.

    Readings are read here: workers may not reach their files.

    Returns
    -------
    dict of str to str
        For each of `KINDS` why none is to be trained; empty where one is.
    """
    if plan.config.train.folds:
        return dict.fromkeys(KINDS, CROSS_VALIDATED)
    if plan.config.nodules.train is False:
        return dict.fromkeys(KINDS, SWITCHED_OFF)
    if plan.detector is None:
        return dict.fromkeys(KINDS, "the validation series have no nodule candidates")
    try:
        rows = _rows_of(plan)
    except LabelError as error:
        return dict.fromkeys(KINDS, str(error))
    lacking = why_not_trained(rows, plan.config.labels.malignant_at)
    return {SEGMENTER: why_no_segmenter(rows), **dict.fromkeys(PINNED, lacking)}


def _rows_of(plan: TrainingPlan) -> NoduleRows:
    file = nodules_folder(plan) / NODULE_ROWS
    try:
        return NoduleRows.load(file)
    except TrainingError:
        file.parent.mkdir(parents=True, exist_ok=True)
    store, config, uids = VolumeStore.of(plan.config), plan.config, plan.series_uids
    with stage("readings") as reading:
        collected = readings_for(store.summaries(uids), config, reading.reach, store.records)
    with stage("nodules") as progress:
        rows = find_nodules(Snapshot.load(plan.snapshot_path), store, collected.nodules, progress.reach)
    rows.save(file)
    return rows


def keep_views_of(plan: TrainingPlan, reasons: Reasons, address: str) -> None:
    """Read what malignancy systems see of the nodules of a training, if any is to be trained."""
    if not all(reasons[kind] for kind in PINNED):
        keep_views(nodules_folder(plan), plan.config, address)


@task(
    task_run_name="train {kind} of findings",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_system(kind: str, plan: TrainingPlan, run_id: str | None) -> SystemResult:
    """Train a system and keep it; log it below the run of the training where MLflow answers."""
    return model_of(kind).train(plan, run_id)


@task(
    task_run_name="log {kind} of findings",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def log_system(kind: str, plan: TrainingPlan, run_id: str) -> SystemResult:
    """Log a system that waited for MLflow."""
    return model_of(kind).log_again(plan, run_id)


@task(task_run_name="register {kind} of findings", cache_policy=NO_CACHE)
def register_system(kind: str, plan: TrainingPlan, result: SystemResult) -> ModelPin:
    """Register a trained system, and return its pin."""
    tracking = Tracking.of(plan.config)
    name = system_model_name(tracking.registry_name, kind)
    version = registry.register_model(
        tracking,
        name,
        source=str(result.model_uri),
        run_id=str(result.run_id),
        model_id=result.model_id,
        sha256=result.model_sha256,
        description=f"{_WHAT[kind == SEGMENTER]}, trained on the store's own: {result.reason}. Research use only.",
    )
    return ModelPin(name=name, version=version, sha256=result.model_sha256)


_WHAT = ("P(malignant) of nodules in cubes", "P(inside the nodule) of the voxels of cubes")


def system_outcome(kind: str, future: PrefectFuture[SystemResult]) -> SystemResult:
    """Wait for a system; one that fails costs the others nothing, and the release keeps the package's."""
    try:
        return future.result()
    except Exception as error:
        return SystemResult(reason=f"training the {kind} failed with {what_ended(error)}")


def with_systems(plan: TrainingPlan, results: Mapping[str, SystemResult], run_id: str) -> TrainingPlan:
    """Return the plan with what became of each system, and with those that its release pins."""
    if plan.detector is None:
        return plan
    waiting = {kind: log_system.submit(kind, plan, run_id) for kind, one in results.items() if one.waiting}
    known = {kind: waiting[kind].result() if kind in waiting else one for kind, one in results.items()}
    coming = {kind: register_system.submit(kind, plan, one) for kind, one in known.items() if one.model_uri}
    pins = {kind: future.result() for kind, future in coming.items()}
    chosen = {kind for kind in (SEGMENTER, best_malignancy(known)) if kind and known[kind].own and kind in pins}
    facts = tuple(_facts(kind, one, pins.get(kind), pinned=kind in chosen) for kind, one in known.items())
    return plan.model_copy(update={"systems": facts})


def best_malignancy(results: Mapping[str, SystemResult]) -> str | None:
    """Return the kind of the malignancy system to pin: of those that are better, that of the lowest log loss."""
    better = {kind: one for kind, one in results.items() if kind != SEGMENTER and one.own}
    return min(better, key=lambda kind: better[kind].validation["log_loss"].value or 0.0, default=None)


def _facts(kind: str, result: SystemResult, pin: ModelPin | None, *, pinned: bool) -> SystemFacts:
    return SystemFacts(
        kind=kind, reason=result.reason, pinned=pinned, model=pin, validation=result.validation, test=result.test
    )


def _log_segmenter(plan: TrainingPlan, run: Run, kept: OwnSegmenter) -> SystemResult:
    rows = NoduleRows.load(nodules_folder(plan) / NODULE_ROWS)
    test = segmenter_figures(kept, rows, plan.config)
    _log_facts(plan, run, kept.facts.counts, kept.facts.choice.figures, test)
    logged = SEGMENTERS.log(run, Tracking.of(plan.config), SEGMENTER_MODEL.folder(plan) / MODEL)
    choice = kept.facts.choice
    run.tags({"better": str(choice.own), "reason": choice.reason[:500]})
    return SystemResult(validation=choice.figures, test=test, **facts_of(logged, own=choice.own, reason=choice.reason))


def _log_facts(
    plan: TrainingPlan,
    run: Run,
    counts: Mapping[str, int],
    validation: Mapping[str, Estimate],
    test: Mapping[str, Estimate],
) -> None:
    run.params({"steps": plan.config.nodules.steps, "seed": plan.config.train.seed, **counts})
    run.metrics(named_figures(validation, "validation") | named_figures(test, "test"))


def _fit_segmenter(plan: TrainingPlan) -> OwnSegmenter:
    rows = NoduleRows.load(nodules_folder(plan) / NODULE_ROWS)
    return fit_segmenter(rows, plan.config, SEGMENTER_MODEL.folder(plan) / MODEL)


def _malignancy_model(kind: str) -> NoduleModel[OwnMalignancy, SystemResult]:
    """Return how a malignancy system is fitted and logged."""

    def fit(plan: TrainingPlan) -> OwnMalignancy:
        return fit_malignancy(kind, read_views(nodules_folder(plan)), plan.config, model.folder(plan) / MODEL)

    def log(plan: TrainingPlan, run: Run, kept: OwnMalignancy) -> SystemResult:
        choice = kept.facts.choice
        test = malignancy_figures_on(kept, read_views(nodules_folder(plan)), plan.config)
        _log_facts(plan, run, kept.facts.counts, choice.figures, test)
        run.series({"loss/training": dict(enumerate(kept.facts.loss, start=1))})
        run.tags({"better": str(choice.own), "reason": choice.reason[:500]})
        logged = MALIGNANCIES.log(run, Tracking.of(plan.config), model.folder(plan) / MODEL)
        return SystemResult(
            validation=choice.figures, test=test, **facts_of(logged, own=choice.own, reason=choice.reason)
        )

    model = NoduleModel(kind, f"{FOLDER}/{kind}", f"malignancy: {kind}", SystemResult, fit, log)
    return model


SEGMENTER_MODEL = NoduleModel(
    SEGMENTER, f"{FOLDER}/{SEGMENTER}", "segmenter of findings", SystemResult, _fit_segmenter, _log_segmenter
)

_MALIGNANCY_MODELS = {kind: _malignancy_model(kind) for kind in PINNED}


def model_of(kind: str) -> NoduleModel[OwnSegmenter, SystemResult] | NoduleModel[OwnMalignancy, SystemResult]:
    """Return how a kind of system is fitted and logged."""
    return SEGMENTER_MODEL if kind == SEGMENTER else _MALIGNANCY_MODELS[kind]
