"""Train the arms of an experiment on shared features, and compare them on one page; nothing is registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from prefect.futures import PrefectFuture
from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config
from flows.flow import flow
from flows.preprocess import preprocess
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config, PreprocessConfig
from lidcflow.errors import ConfigError, LidcflowError
from lidcflow.experiment.arm import ArmResult, SectorShare, save_arm
from lidcflow.experiment.builtin import Arm, arms_of
from lidcflow.experiment.comparison import Comparison
from lidcflow.experiment.page import PAGE, is_written, rendered, write
from lidcflow.store.address import training_store
from lidcflow.store.locate import is_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import cluster_for
from tasks.cluster.runner import task_runner
from tasks.experiment import (
    ExperimentPlan,
    arms_folder,
    experiment_run,
    finish_arm,
    jobs_of_arm,
    log_arm,
    log_comparison,
    log_failed_arm,
    plan_experiment,
    train_share,
)
from tasks.features import features_of_plan
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact
from tasks.sector import SectorJob
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.retry import call_until_available
from tasks.tracking.runs import Run

UNLOGGED = ".unlogged"
"""Lies beside a page that MLflow does not have yet."""


class ExperimentReport(BaseModel):
    """Results of an experiment.

    Parameters
    ----------
    comparison : Comparison
        Figures of the arms, and reasons of those that failed.
    page : Path
        The comparison for people; ``comparison.json`` and ``comparison.csv`` lie beside it.
    reused : list of str
        Arms that had been trained before.
    """

    comparison: Comparison
    page: Path
    reused: list[str]
    seconds: float
    notice: str = "Research use only."


@flow(name="experiment")
def experiment(
    name: Annotated[
        str, ParameterHelp("One that comes with lidcflow, as sectors, or of the configuration's experiments.")
    ],
    config: Settings = None,
) -> ExperimentReport:
    """Train every arm of an experiment that has not been trained on the same inputs, and compare all of them.

    Parameters
    ----------
    name : str
        One that comes with lidcflow, or of the configuration's experiments.
    config : Config, optional
        Settings over those of the worker.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    arms = arms_of(name, config)
    preprocess_for_arms(name, arms, config)
    plan = plan_experiment(name, arms, config)
    folder = config.reports_path / "experiments" / name
    comparison = None if plan.waiting or plan.failed else plan.compared({}, {})
    if comparison is None or not is_written(comparison, folder) or (folder / UNLOGGED).exists():
        comparison = run_experiment(plan, config, folder, known=comparison)
    return ExperimentReport(
        comparison=comparison,
        page=folder / PAGE,
        reused=list(plan.known),
        seconds=round(time.monotonic() - started_s, 3),
    )


def preprocess_for_arms(name: str, arms: Sequence[Arm], config: Config) -> None:
    """Preprocess the archive for arms whose stores lack series that the workspace's store has.

    Raises
    ------
    ConfigError
        If a store lacks series and no archive is configured.
    """
    wanted = stored_series(config)
    stores = {arm.config.store_root: arm for arm in arms}
    lacking = [arm for arm in stores.values() if not (found := stored_series(arm.config)) or wanted - found]
    if lacking and config.archive is None:
        arm = lacking[0]
        raise ConfigError(
            f"experiment {name}: the arm '{arm.name}' needs volumes of {_in_short(arm.config.preprocess)}, which no "
            "store of the workspace holds for all series; set archive to where the images are"
        )
    for arm in lacking:
        preprocess(str(config.archive), arm.config)


def stored_series(config: Config) -> set[str]:
    """Return the series in the store of a configuration; none where there is no store."""
    if not is_store(config.store_root, config.access):
        return set()
    return set(VolumeStore.of(config).series_uids())


def run_experiment(plan: ExperimentPlan, config: Config, folder: Path, *, known: Comparison | None) -> Comparison:
    """Train the arms that wait, compare all, and leave the page in its folder and then on the experiment's run."""
    with at_work(config.workspace, "experiment", catalog=config.catalog):
        trained, failed = train_waiting(plan, config)
        comparison = known or plan.compared(trained, failed)
        results = {**plan.known, **trained}
        files = rendered(comparison, {one.name: results[one.name] for one in comparison.arms})
        write(files, folder)
        (folder / UNLOGGED).touch()
        log = partial(log_experiment, plan, results, comparison, files, Tracking.of(config))
        kept = "arms and page are kept in the workspace, and running the same command again logs them without training"
        call_until_available(log, config.tracking.wait_s, kept=kept)
        (folder / UNLOGGED).unlink()
    return comparison


def log_experiment(
    plan: ExperimentPlan,
    results: Mapping[str, ArmResult],
    comparison: Comparison,
    files: Mapping[str, str],
    tracking: Tracking,
) -> None:
    """Log the comparison as a run, with a run below it for each arm."""
    with experiment_run(tracking, plan.name, plan.question, len(plan.arms)) as run:
        log_runs(run, tracking, plan, results, comparison)
        log_comparison(run, comparison, files)


def log_runs(
    run: Run, tracking: Tracking, plan: ExperimentPlan, results: Mapping[str, ArmResult], comparison: Comparison
) -> None:
    """Log every arm as a run below the experiment's."""
    for one in comparison.arms:
        reused = one.name in plan.known
        log_arm(tracking, run.run_id, plan.plans[one.name], results[one.name], one, reused=reused)
    for name, reason in comparison.failed.items():
        log_failed_arm(tracking, run.run_id, name, reason)


def train_waiting(plan: ExperimentPlan, config: Config) -> tuple[dict[str, ArmResult], dict[str, str]]:
    """Compute the features that are lacking and train all sectors of all arms on one cluster."""
    if not plan.waiting:
        return {}, {}
    with (
        listening(ProgressArtifact()),
        cluster_for(config, "train", training_store(config)) as cluster,
    ):
        without = feature_failures(plan.waiting, cluster.address)
        ready = {name: waiting for name, waiting in plan.waiting.items() if name not in without}
        on_cluster = train_arms.with_options(task_runner=task_runner(cluster.address))  # type: ignore[arg-type]
        trained, failed = on_cluster(ready, arms_folder(config.workspace))
    return trained, {**without, **failed}


def feature_failures(plans: Mapping[str, TrainingPlan], address: str) -> dict[str, str]:
    """Compute features once for all arms that share them; return why arms have to do without."""
    outcomes: dict[tuple[str, ...], str] = {}
    for plan in plans.values():
        if (key := _needed(plan)) not in outcomes:
            outcomes[key] = _features(plan, address)
    reasons = {name: outcomes[_needed(plan)] for name, plan in plans.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _needed(plan: TrainingPlan) -> tuple[str, ...]:
    """Describe which features an arm needs; views show the training patients, who are listed in the snapshot."""
    views = plan.config.train.view_names
    return plan.config.store_root, plan.backbone.id, *(views and (plan.snapshot_digest, *views))


def _features(plan: TrainingPlan, address: str) -> str:
    try:
        features_of_plan(plan, address)
    except LidcflowError as error:
        return str(error)
    return ""


@flow(name="train-arms")
def train_arms(plans: dict[str, TrainingPlan], folder: Path) -> tuple[dict[str, ArmResult], dict[str, str]]:
    """Train the sectors of all arms at once, each as a task on the cluster; an arm is kept as soon as it is done."""
    jobs = {name: jobs_of_arm(plan) for name, plan in plans.items()}
    trained: dict[str, ArmResult] = {}
    failed: dict[str, str] = {}
    with stage("train", total=sum(not reason for of in jobs.values() for reason in of.values())) as progress:
        futures = {name: _submitted(name, jobs[name], plan) for name, plan in plans.items()}
        for name, plan in plans.items():
            shares, reasons = _outcomes(futures[name], progress.advance)
            if reasons:
                failed[name] = "; ".join(reasons)
                continue
            trained[name] = finish_arm(plan, jobs[name], shares)
            save_arm(trained[name], folder)
    return trained, failed


def _submitted(
    name: str, jobs: Mapping[SectorJob, str], plan: TrainingPlan
) -> dict[SectorJob, PrefectFuture[SectorShare]]:
    return {job: train_share.submit(name, job, plan) for job, reason in jobs.items() if not reason}


def _outcomes(
    futures: Mapping[SectorJob, PrefectFuture[SectorShare]], advance: Callable[[], None]
) -> tuple[dict[SectorJob, SectorShare], list[str]]:
    """Wait for the sectors of an arm; return what they gave, and why others failed."""
    shares: dict[SectorJob, SectorShare] = {}
    reasons: list[str] = []
    for job, future in futures.items():
        try:
            shares[job] = future.result()
        except Exception as error:
            reasons.append(f"{job.title}: {type(error).__name__}: {error}")
        advance()
    return shares, reasons


def _in_short(shape: PreprocessConfig) -> str:
    return f"{shape.slices} slices of {shape.size} x {shape.size} over the {shape.z_range}"
