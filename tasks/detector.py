"""The detector of a training: judge the stored candidates, train on them beside the sectors, register what is better.

``<workspace>/trainings/<inputs>/detector/`` holds the judged candidates, the trained detector, and what of it has been
logged; all of it names series or shows images of theirs, so that an erasure deletes the folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from pydantic import BaseModel, ConfigDict, ValidationError

from lidcflow.erase.workspace_files import CANDIDATE_ROWS
from lidcflow.errors import LabelError, TrackingUnavailable, TrainingError
from lidcflow.files import write_whole
from lidcflow.labels.collect import collect_nodules
from lidcflow.learn.candidate_rows import CandidateRows, judge_stored
from lidcflow.learn.own_detector import Example, OwnDetector, why_not_trained
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.record import DetectorPin
from lidcflow.stats.plots import Tile, froc_plot, montage
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.map import what_ended
from tasks.fit import fit_detector
from tasks.progress import stage
from tasks.retries import is_worth_a_retry
from tasks.sector import training_folder
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.detectors import detector_model_name, log_detector_model
from tasks.tracking.runs import Run, open_run, run_of
from tasks.train import named_figures

FOLDER, CANDIDATES, MODEL, LOGGED = "detector", CANDIDATE_ROWS, "model", "logged.json"

TITLE = "nodule detector"

SWITCHED_OFF = "nodules.train is false"


class DetectorResult(BaseModel):
    """What became of the detector: a logged model, one that waits to be logged, or the reason why there is none.

    Parameters
    ----------
    own : bool
        Whether the trained one is better than the embedded one.
    reason : str
        Why it is, why it is not, or why none was trained.
    """

    model_config = ConfigDict(frozen=True)

    own: bool = False
    reason: str = ""
    model_uri: str | None = None
    model_id: str | None = None
    model_sha256: str = ""
    run_id: str | None = None
    threshold: float = 0.5
    waiting: bool = False


class _Logged(BaseModel):
    """A detector that has been logged below a run."""

    run_id: str
    result: DetectorResult


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
        collected = collect_nodules(store.summaries(uids), config.labels.sources, reading.reach, full=store.records)
    with stage("judge", total=len(uids)) as progress:
        return judge_stored(Snapshot.load(plan.snapshot_path), store, collected.nodules, progress.advance)


@task(
    task_run_name="train nodule detector",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_detector(plan: TrainingPlan, run_id: str | None) -> DetectorResult:
    """Train the detector and keep it; log it below the run of the training where MLflow answers."""
    try:
        kept = _kept(plan)
    except Exception as error:
        _log_failure(plan, run_id, error)
        raise
    if run_id is not None:
        with suppress(TrackingUnavailable):
            return _logged(plan, run_id, kept)
    return DetectorResult(waiting=True)


@task(
    task_run_name="log nodule detector",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def log_detector(plan: TrainingPlan, run_id: str) -> DetectorResult:
    """Log a detector that waited for MLflow."""
    return _logged(plan, run_id, _kept(plan))


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
    return training_folder(plan) / FOLDER


def _kept(plan: TrainingPlan) -> OwnDetector:
    """Return the trained detector, from an earlier attempt if one came so far."""
    folder = detector_folder(plan)
    return fit_detector(CandidateRows.load(folder / CANDIDATES), plan.config, folder / MODEL)


def _logged(plan: TrainingPlan, run_id: str, kept: OwnDetector) -> DetectorResult:
    """Log a detector as a run of its own, unless an earlier attempt has."""
    if found := _find_logged(plan, run_id):
        return found
    with _detector_run(plan, run_id) as run:
        result = _log_all(plan, run, kept)
    write_whole(detector_folder(plan) / LOGGED, _Logged(run_id=run_id, result=result).model_dump_json())
    return result


def _find_logged(plan: TrainingPlan, run_id: str) -> DetectorResult | None:
    try:
        found = _Logged.model_validate_json((detector_folder(plan) / LOGGED).read_bytes())
    except (OSError, ValidationError):
        return None
    return found.result if found.run_id == run_id else None


def _log_failure(plan: TrainingPlan, run_id: str | None, error: Exception) -> None:
    """Leave a failed run that says why; a server that is away must not hide the reason from the flow."""
    if run_id is not None:
        with suppress(type(error), TrackingUnavailable), _detector_run(plan, run_id):
            raise error


def _detector_run(plan: TrainingPlan, run_id: str) -> AbstractContextManager[Run]:
    return open_run(Tracking.of(plan.config), TITLE, parent_id=run_id, tags={"model": "detector"})


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
    logged = log_detector_model(run, Tracking.of(plan.config), detector_folder(plan) / MODEL)
    return DetectorResult(
        own=choice.own,
        reason=choice.reason,
        model_uri=logged.uri,
        model_id=logged.model_id,
        model_sha256=logged.sha256,
        run_id=run.run_id,
        threshold=kept.detector.calibration.threshold,
    )


def _tiles(examples: Sequence[Example]) -> Mapping[str, list[Tile]]:
    rows: dict[str, list[Tile]] = {"nodules, found": [], "nodules, missed": [], "no nodule, most probable": []}
    for one in examples:
        rows[one.kind].append(Tile(one.hu, f"P(nodule) {one.probability:.2f}"))
    return rows
