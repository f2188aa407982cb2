"""The detector of a training: judge the stored candidates, train on them beside the sectors, pin what is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from lidcflow.erase.workspace_files import CANDIDATE_ROWS
from lidcflow.errors import LabelError, TrainingError
from lidcflow.learn.candidate_rows import CandidateRows, judge_stored
from lidcflow.learn.own_detector import Example, OwnDetector, why_not_trained
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.pins import DetectorPin
from lidcflow.stats.plots import Tile, froc_plot, montage
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.map import what_ended
from tasks.fit import fit_detector
from tasks.nodule_model import MODEL, ModelResult, NoduleModel, facts_of
from tasks.progress import stage
from tasks.readings import readings_for
from tasks.retries import is_worth_a_retry
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.detectors import DETECTORS, detector_model_name
from tasks.tracking.runs import Run, run_of
from tasks.train import named_figures

CANDIDATES = CANDIDATE_ROWS

TITLE = "nodule detector"

SWITCHED_OFF = "nodules.train is false"

CROSS_VALIDATED = "a cross-validation (train.folds) trains sector models alone"


class DetectorResult(ModelResult):
    """The result of training the detector.

    Parameters
    ----------
    threshold : float
        P(nodule) from which a candidate is a finding.
    """

    threshold: float = 0.5


def judge_candidates_of(plan: TrainingPlan) -> str:
    """Judge the candidates of a training by the readings, and keep them for the task that trains.

    Readings are read here: workers may not reach their files.

    Returns
    -------
    str
        Why no detector is to be trained; empty where one is.

    Raises
    ------
    TrainingError
        If there is too little to train a detector on, and the settings ask for one in any case.
    """
    reason = _why_not(plan)
    if reason and plan.config.nodules.train is True:
        raise TrainingError(f"nodule detector: {reason}; add series, or set nodules.train to auto")
    return reason


def _why_not(plan: TrainingPlan) -> str:
    if plan.config.train.folds:
        return CROSS_VALIDATED
    if plan.config.nodules.train is False:
        return SWITCHED_OFF
    if plan.detector is None:
        return "the validation series have no nodule candidates"
    try:
        CandidateRows.load(detector_folder(plan) / CANDIDATES)
    except TrainingError:
        return _judge(plan)
    return ""


def _judge(plan: TrainingPlan) -> str:
    """Judge the candidates, and keep the rows where they are enough; return why they are not."""
    try:
        rows = _judged(plan)
    except LabelError as error:
        return str(error)
    if reason := why_not_trained(rows):
        return reason
    detector_folder(plan).mkdir(parents=True, exist_ok=True)
    rows.save(detector_folder(plan) / CANDIDATES)
    return ""


def _judged(plan: TrainingPlan) -> CandidateRows:
    store, config = VolumeStore.of(plan.config), plan.config
    uids = plan.series_uids
    with stage("readings") as reading:
        collected = readings_for(store.summaries(uids), config, reading.reach, store.records)
    with stage("judge") as progress:
        return judge_stored(Snapshot.load(plan.snapshot_path), store, collected.nodules, progress.reach)


@task(
    task_run_name="train nodule detector",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_detector(plan: TrainingPlan, run_id: str | None) -> DetectorResult:
    """Train the detector and keep it; log it below the run of the training where MLflow answers."""
    return DETECTOR.train(plan, run_id)


@task(
    task_run_name="log nodule detector",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def log_detector(plan: TrainingPlan, run_id: str) -> DetectorResult:
    """Log a detector that waited for MLflow."""
    return DETECTOR.log_again(plan, run_id)


@task(task_run_name="register nodule detector", cache_policy=NO_CACHE)
def register_detector(plan: TrainingPlan, result: DetectorResult) -> DetectorPin:
    """Register a trained detector, and return its pin."""
    tracking = Tracking.of(plan.config)
    name = detector_model_name(tracking.registry_name)
    version = registry.register_model(
        tracking,
        name,
        source=str(result.model_uri),
        run_id=str(result.run_id),
        model_id=result.model_id,
        sha256=result.model_sha256,
        description="P(nodule) of candidates, trained on the store's own. Research use only.",
    )
    return DetectorPin(detector=name, version=version, sha256=result.model_sha256, threshold=result.threshold)


def detector_outcome(future: PrefectFuture[DetectorResult], plan: TrainingPlan) -> DetectorResult:
    """Wait for the detector; one that fails costs the sectors nothing, unless the settings ask for one in any case."""
    try:
        return future.result()
    except Exception as error:
        if plan.config.nodules.train is True:
            raise
        return DetectorResult(reason=f"training the detector failed with {what_ended(error)}")


def with_detector(plan: TrainingPlan, result: DetectorResult, run_id: str) -> TrainingPlan:
    """Return the plan with the detector that its release pins, and why; the reason goes to the training's run too."""
    if result.waiting:
        result = log_detector.submit(plan, run_id).result()
    run_of(Tracking.of(plan.config), run_id).tags({"detector": result.reason[:500]} if plan.detector else {})
    detector = register_detector.submit(plan, result).result() if result.own else plan.detector
    return plan.model_copy(update={"detector": detector, "detector_reason": result.reason if plan.detector else ""})


def detector_folder(plan: TrainingPlan) -> Path:
    """Return where the detector of a training is kept, with the candidates that it learns from."""
    return DETECTOR.folder(plan)


def _kept(plan: TrainingPlan) -> OwnDetector:
    """Return the trained detector, from an earlier attempt if one came so far."""
    folder = detector_folder(plan)
    return fit_detector(CandidateRows.load(folder / CANDIDATES), plan.config, folder / MODEL)


def _log_all(plan: TrainingPlan, run: Run, kept: OwnDetector) -> DetectorResult:
    facts, choice = kept.facts, kept.facts.choice
    run.params({"steps": plan.config.nodules.steps, "seed": plan.config.train.seed, **facts.counts})
    run.params(vars(kept.detector.calibration))
    run.tags({"pinned": "own" if choice.own else "embedded", "reason": choice.reason[:500]})
    run.series({"loss/training": dict(enumerate(facts.loss, start=1))})
    run.metrics(named_figures(choice.figures, "validation"))
    on_validation = f"{TITLE}: candidates of validation patients"
    run.figure(froc_plot(choice.curves, on_validation), "froc.png")
    run.figure(montage(_tiles(kept.examples), on_validation), "candidates.png")
    logged = DETECTORS.log(run, Tracking.of(plan.config), detector_folder(plan) / MODEL)
    threshold = kept.detector.calibration.threshold
    return DetectorResult(threshold=threshold, **facts_of(logged, own=choice.own, reason=choice.reason))


def _tiles(examples: Sequence[Example]) -> Mapping[str, list[Tile]]:
    rows: dict[str, list[Tile]] = {"nodules, found": [], "nodules, missed": [], "no nodule, most probable": []}
    for one in examples:
        rows[one.kind].append(Tile(one.hu, f"P(nodule) {one.probability:.2f}"))
    return rows


DETECTOR = NoduleModel("detector", "detector", TITLE, DetectorResult, _kept, _log_all)
