"""Train every sector on what is stored, release the set of models, and pass the gate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
from prefect import Task
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, configuration_under, resolve_config
from flows.flow import flow
from lidcflow.catalog.locks import at_work, require_turn
from lidcflow.errors import TrackingUnavailable
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.choices import choices_over, with_choices
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.pins import BackbonePin
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.address import training_store
from tasks.candidate_scores import CandidateEvidence, evidence_for, held_out_labels, readings_of
from tasks.champions import champions_of
from tasks.cluster.early_imports import TRAINERS, importing
from tasks.cluster.map import what_ended
from tasks.cluster.open import cluster_for
from tasks.cluster.runner import task_runner
from tasks.detector import DetectorResult, detector_outcome, judge_candidates_of, train_detector, with_detector
from tasks.evaluate import Evaluation, evaluate_release
from tasks.features import features_of_plan
from tasks.finding_systems import (
    KINDS,
    SystemResult,
    find_nodules_of,
    keep_views_of,
    system_outcome,
    train_system,
    with_systems,
)
from tasks.profile import Facts, keep_profile, measure_training
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact, publish_table
from tasks.release import (
    choose_models,
    is_in_the_package,
    jobs_of,
    publish_release,
    register_backbone,
    register_sectors,
    sector_table,
)
from tasks.run_page import name_run, sector_tag
from tasks.sector import SectorJob, SectorResult, forget, in_short, kept_run, training_lock
from tasks.snapshot import TrainingPlan, plan_training
from tasks.system_checks import compare_systems
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, tracking_connection
from tasks.tracking.retry import call_until_available
from tasks.tracking.runs import end_run
from tasks.train import log_sector, train_sector
from tasks.training_run import begin_training, failing_with_its_run, log_folds, log_release


class TrainReport(BaseModel):
    """The result of a training.

    Parameters
    ----------
    release : ReleaseRecord
        The release, new or found.
    reused : bool
        Whether nothing had changed since `release` was trained, so that nothing was trained now.
    champion : bool
        Whether it is the release in force.
    series, patients : int
        In the snapshot.
    left_out : int
        Stored series without labels.
    wrong_pixels : int
        Stored series whose pixels look wrong; they are left out too.
    """

    release: ReleaseRecord
    reused: bool
    champion: bool
    series: int
    patients: int
    left_out: int
    wrong_pixels: int = 0
    notice: str = "Research use only."


class Untrained(NamedTuple):
    """The reason why the detector and each kind of system is not trained; empty where it is."""

    detector: str
    systems: dict[str, str]


class Trained(NamedTuple):
    """Results from the cluster: one for each sector, for the detector, and for each system of findings."""

    sectors: list[SectorResult]
    detector: DetectorResult
    systems: dict[str, SystemResult]


class MeasuredSectors(NamedTuple):
    """What a release is made of: its plan names the detector and the backbone that it pins.

    `facts` are those of the training series, for its profile.
    """

    plan: TrainingPlan
    sectors: list[SectorResult]
    versions: dict[SectorJob, int]
    evaluation: Evaluation
    facts: dict[str, Facts]


@flow(name="train")
def train(
    config: Settings = None,
    snapshot: Annotated[
        str | None, ParameterHelp("Train from exactly this one: leading digits of it, or its file.")
    ] = None,
    again: Annotated[bool, ParameterHelp("Train although a release of the same inputs is there.")] = False,
    choices: Annotated[
        dict[str, Any] | None,
        ParameterHelp('Settings of this training over the configuration, such as {"train.sector_num": 13}.'),
    ] = None,
) -> TrainReport:
    """Train every sector on the labelled volumes of the store, unless that has been done.

    Parameters
    ----------
    config : Config, optional
        Settings over those of the worker.
    snapshot : str, optional
        Leading digits of a snapshot, or its file: train from exactly that one, with its settings.
    again : bool
        Train although a release of the same inputs is there.
    choices : dict, optional
        Settings by name over the configuration: the release keeps them, and later retrainings follow them.
    """
    configured = configuration_under(config)
    config = with_choices(resolve_config(config), choices or {})
    with at_work(config.workspace, "train", alone=True, catalog=config.catalog):
        plan = plan_training(config, snapshot)
        plan = plan.model_copy(update={"chosen": choices_over(plan.config, configured)})
        name_run(f"train {named_plan(plan)}", plan.config)
        known = None if again else known_release(plan)
        release, reused = (known, True) if known else train_release(plan, again=again)
    return TrainReport(
        release=release,
        reused=reused,
        champion=registry.champion_version(Tracking.of(config)) == release.version,
        series=plan.series,
        patients=plan.patients,
        left_out=plan.left_out,
        wrong_pixels=plan.wrong_pixels,
    )


def named_plan(plan: TrainingPlan) -> str:
    """Return what people know a training by: its sectors and the leading digits of its snapshot."""
    folds = f" in {plan.config.train.folds} folds" if plan.config.train.folds else ""
    return f"{plan.config.train.sector_num} sectors{folds}, snapshot {plan.snapshot_id[:12]}"


def known_release(plan: TrainingPlan) -> ReleaseRecord | None:
    """Find a finished release of the same inputs; none is found while MLflow is unavailable."""
    tracking = Tracking.of(plan.config)
    try:
        with tracking_connection(tracking):
            known = registry.find_release(tracking, plan.inputs_digest)
            mine = known is not None and registry.training_of(tracking, known.version) == kept_run(plan)
    except TrackingUnavailable:
        return None
    return None if mine else known


def train_release(plan: TrainingPlan, *, again: bool) -> tuple[ReleaseRecord, bool]:
    """Compute the features that are lacking, train the sectors on the cluster, publish the release.

    MLflow is needed for the last step alone: while it is away, features are stored and sectors are kept. The second
    value tells whether it turned out, when MLflow was back, that there was such a release.
    """
    config = plan.config
    with (
        training_lock(plan),
        failing_with_its_run(plan),
        listening(ProgressArtifact()),
        cluster_for(config, "train", training_store(config)) as cluster,
    ):
        with importing(cluster.address, TRAINERS):
            run_id = run_if_reachable(plan)
            features_of_plan(plan, cluster.address)
            untrained = Untrained(judge_candidates_of(plan), find_nodules_of(plan))
            keep_views_of(plan, untrained.systems, cluster.address)
        on_cluster = train_sectors.with_options(task_runner=task_runner(cluster.address))  # type: ignore[arg-type]
        trained = on_cluster(plan, run_id, untrained)
        finish = partial(finish_release, plan, trained, cluster.address, again=again)
        release, reused = call_until_available(finish, config.tracking.wait_s, kept=in_short(plan))
    forget(plan)
    publish_table("release", sector_table(release), f"{release.name} version {release.version}, research use only")
    return release, reused


def run_if_reachable(plan: TrainingPlan) -> str | None:
    """Open the run of the training, if MLflow answers."""
    try:
        return begin_training(plan).run_id
    except TrackingUnavailable:
        return None


@flow(name="train-sectors")
def train_sectors(plan: TrainingPlan, run_id: str | None, untrained: Untrained) -> Trained:
    """Train all sectors at once, and what reads nodules unless there is a reason not to; each is a task."""
    name_run(f"fit {named_plan(plan)}", plan.config)
    jobs, wanted = jobs_of(plan.config.train.sector_num), [kind for kind in KINDS if not untrained.systems[kind]]
    with stage("train", total=len(jobs) + (not untrained.detector) + len(wanted)) as progress:
        coming = None if untrained.detector else train_detector.submit(plan, run_id)
        of_systems = {kind: train_system.submit(kind, plan, run_id) for kind in wanted}
        futures = {job: tagged(train_sector, job).submit(job, plan, run_id) for job in jobs}
        results = []
        for job, future in futures.items():
            results.append(outcome(job, future))
            progress.advance()
        detector = detector_outcome(coming, plan) if coming else DetectorResult(reason=untrained.detector)
        progress.advance(coming is not None)
        systems = {kind: SystemResult(reason=reason) for kind, reason in untrained.systems.items()}
        for kind, coming_system in of_systems.items():
            systems[kind] = system_outcome(kind, coming_system)
            progress.advance()
    return Trained(results, detector, systems)


def tagged(task: Task[..., SectorResult], job: SectorJob) -> Task[..., SectorResult]:
    """Return a task with the tag of its sector."""
    return task.with_options(tags=[sector_tag(job.sector)])


def finish_release(plan: TrainingPlan, trained: Trained, address: str, *, again: bool) -> tuple[ReleaseRecord, bool]:
    """Log what waits for MLflow, measure the models together and publish the release; done again, it adds nothing."""
    tracking = Tracking.of(plan.config)
    with tracking_connection(tracking):
        if not again and (known := known_release(plan)):
            return known, True
        run, facts = begin_training(plan), None
        release = registry.find_release(tracking, plan.inputs_digest, run_id=run.run_id)
        if release is None:
            on_cluster = measure_sectors.with_options(task_runner=task_runner(address))  # type: ignore[arg-type]
            measured = on_cluster(plan, trained, run.run_id, address)
            require_turn(plan.config.catalog)
            release = publish_release(
                measured.plan, run.run_id, measured.sectors, measured.versions, measured.evaluation
            )
            facts = measured.facts
        elif release.gate.passed:
            require_turn(plan.config.catalog)
            registry.set_champion(tracking, release.version, release.gate.reason)
        log_release(run, release)
        log_folds(plan, release, run.run_id)
        keep_profile(release, Snapshot.load(plan.snapshot_path), plan.config, address, facts)
        end_run(tracking, run.run_id)
    return release, False


@flow(name="measure-sectors")
def measure_sectors(plan: TrainingPlan, trained: Trained, run_id: str, address: str) -> MeasuredSectors:
    """Log what waited, and measure all models together, with the findings where there are candidates.

    The models are registered, and the training series measured for the profile, while the evaluation runs.
    """
    config, results = plan.config, trained.sectors
    name_run(f"measure {named_plan(plan)}", config)
    plan = with_systems(with_detector(plan, trained.detector, run_id), trained.systems, run_id)
    waiting = {result.job: log_sector.submit(result.job, plan, run_id) for result in results if result.waiting}
    logged = [waiting[result.job].result() if result.waiting else result for result in results]
    models = choose_models(logged, config.preprocess.slices, config.train.sector_num)
    champions = champions_of(plan)
    evidence = held_out_evidence(plan, champions, address)
    with stage("evaluate", total=1) as progress:
        of_systems = compare_systems.submit(plan, champions[0]) if champions else None
        asked = (plan, models, champions, run_id, plan.reader, evidence)
        coming = evaluate_release.submit(*asked, of_systems.result() if of_systems else ())
        require_turn(config.catalog)
        versions = register_sectors(Tracking.of(config), logged)
        folds, snapshot = bool(config.train.folds), Snapshot.load(plan.snapshot_path)
        facts = measure_training(snapshot, plan.backbone.id, config, address, folds=folds)
        evaluation = coming.result()
        progress.advance()
    pinned = plan.model_copy(update={"backbone": pinned_backbone(plan, run_id)})
    return MeasuredSectors(pinned, logged, versions, evaluation, facts)


def held_out_evidence(
    plan: TrainingPlan, champions: Sequence[ReleaseRecord], address: str
) -> dict[str, CandidateEvidence]:
    """Ask the detectors of the release and of its champions about the held-out series; none of them, no question.

    The embedded one is asked too: it answers for series that are unlike those of a champion's training.
    """
    pins = [pin for pin in (plan.reader, *(champion.nodules for champion in champions)) if pin]
    if not pins:
        return {}
    pins.append(embedded_pin(plan.config.preprocess.slices))
    held_out = held_out_labels(Snapshot.load(plan.snapshot_path), folds=bool(plan.config.train.folds))
    readings = readings_of(list(held_out), np.stack(list(held_out.values())), plan.config)
    return evidence_for(pins, list(held_out), readings, plan.config, address)


def pinned_backbone(plan: TrainingPlan, run_id: str) -> BackbonePin:
    """Return the backbone's pin; one from outside the package goes into the registry first, but for ONNX files."""
    if is_in_the_package(plan.config.train) or plan.config.train.backbone == "onnx":
        return plan.backbone
    return register_backbone.submit(plan, run_id).result()


def outcome(job: SectorJob, future: PrefectFuture[SectorResult]) -> SectorResult:
    """Wait for a sector; one that fails is reported with its reason, and the others continue."""
    try:
        return future.result()
    except Exception as error:
        return SectorResult(job=job, reason=f"training failed with {what_ended(error)}")
