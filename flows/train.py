"""Train every sector on what is stored, release the set of models, and pass the gate."""

from __future__ import annotations

from prefect import flow
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from lidcflow.config import Config
from lidcflow.learn.dataset import Snapshot
from lidcflow.learn.release import BackbonePin, ReleaseRecord
from tasks.backbone import is_in_the_package, register_backbone
from tasks.cluster import gpu_resources, open_cluster, task_runner
from tasks.evaluate import Evaluation, evaluate_release
from tasks.features import compute_features
from tasks.profile import keep_profile
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact, publish_table
from tasks.release import choose_models, jobs_of, publish_release, sector_table
from tasks.snapshot import TrainingPlan, plan_training
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.train import SectorJob, SectorResult, train_sector
from tasks.training_run import log_plan, log_release, training_run


class TrainReport(BaseModel):
    """What a training came to.

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
    """

    release: ReleaseRecord
    reused: bool
    champion: bool
    series: int
    patients: int
    left_out: int
    notice: str = "Research use only."


@flow(name="train")
def train(config: Config) -> TrainReport:
    """Train every sector on the labelled volumes of the store, unless that has been done."""
    tracking = Tracking.of(config)
    plan = plan_training(config)
    known = registry.find_release(tracking, plan.inputs_digest)
    release = known or train_release(plan)
    return TrainReport(
        release=release,
        reused=known is not None,
        champion=registry.champion_version(tracking) == release.version,
        series=len(plan.series),
        patients=plan.patients,
        left_out=plan.left_out,
    )


def train_release(plan: TrainingPlan) -> ReleaseRecord:
    """Compute the features that are lacking, train the sectors on the cluster, publish the release."""
    config = plan.config
    with (
        training_run(plan) as run,
        listening(ProgressArtifact()),
        open_cluster(config.cluster, "train", scratch=config.scratch_path) as cluster,
    ):
        log_plan(run, plan)
        compute_features(plan.series, plan.backbone.id, config, cluster.address)
        on_cluster = train_sectors.with_options(task_runner=task_runner(cluster.address))  # type: ignore[arg-type]
        results, evaluation, backbone = on_cluster(plan, run.run_id)
        release = publish_release(plan.model_copy(update={"backbone": backbone}), run.run_id, results, evaluation)
        log_release(run, release)
        keep_profile(release, Snapshot.load(plan.snapshot_path), config, cluster.address)
    publish_table("release", sector_table(release), f"{release.name} version {release.version}, research use only")
    return release


@flow(name="train-sectors")
def train_sectors(plan: TrainingPlan, run_id: str) -> tuple[list[SectorResult], Evaluation, BackbonePin]:
    """Train all sectors at once, each as a task on the cluster, then measure their models together."""
    config = plan.config
    jobs = jobs_of(config.train.sector_num)
    with stage("train", total=len(jobs)) as progress, gpu_resources(config.cluster):
        futures = {job: train_sector.submit(job, plan, run_id) for job in jobs}
        results = []
        for job, future in futures.items():
            results.append(outcome(job, future))
            progress.advance()
    models = choose_models(results, config.preprocess.slices, config.train.sector_num)
    with stage("evaluate", total=1) as progress:
        evaluation = evaluate_release.submit(plan, models, champion_of(config), run_id).result()
        progress.advance()
    return results, evaluation, pinned_backbone(plan, run_id)


def pinned_backbone(plan: TrainingPlan, run_id: str) -> BackbonePin:
    """Return the backbone's pin; one from outside the package goes into the registry first."""
    if is_in_the_package(plan.config.train):
        return plan.backbone
    return register_backbone.submit(plan, run_id).result()


def outcome(job: SectorJob, future: PrefectFuture[SectorResult]) -> SectorResult:
    """Wait for a sector; one that fails is told by its reason and costs the others nothing."""
    try:
        return future.result()
    except Exception as error:
        return SectorResult(job=job, reason=f"training failed with {type(error).__name__}: {error}")


def champion_of(config: Config) -> ReleaseRecord | None:
    """Return the release in force, if there is one."""
    tracking = Tracking.of(config)
    version = registry.champion_version(tracking)
    return None if version is None else registry.load_release(tracking, str(version))
