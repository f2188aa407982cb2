"""One task a sector of an arm of an experiment; nothing of it is registered."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.learn.arm import HELD_OUT, ArmResult, SectorShare, arm_result
from lidcflow.learn.dataset import Snapshot, lacking_classes
from lidcflow.learn.sectors import sector_slices
from lidcflow.lidc.labels import CLASS_NAMES
from tasks.features import feature_source
from tasks.release import ALL_SECTORS
from tasks.retries import is_worth_a_retry
from tasks.sector import SectorJob
from tasks.snapshot import TrainingPlan


def jobs_of_arm(plan: TrainingPlan) -> dict[SectorJob, str]:
    """List what an arm trains, and why a sector is left out; the all-sector model is trained if one is."""
    snapshot = Snapshot.load(plan.snapshot_path)
    sector_num = plan.config.train.sector_num
    jobs = {
        SectorJob(sector_num=sector_num, sector=sector): _reason(lacking_classes(snapshot, slices))
        for sector, slices in enumerate(sector_slices(plan.config.preprocess.slices, sector_num), start=1)
    }
    return {ALL_SECTORS: "", **jobs} if any(jobs.values()) else jobs


@task(
    task_run_name="train {arm}, {job.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def train_share(arm: str, job: SectorJob, plan: TrainingPlan) -> SectorShare:  # noqa: ARG001  it names the task
    """Train a sector of an arm, watching its test slices too, and let it answer for the held-out ones."""
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn.predict import series_probabilities
    from lidcflow.learn.training import train_sector

    config = plan.config.train
    snapshot = Snapshot.load(plan.snapshot_path)
    slices = sector_slices(plan.config.preprocess.slices, job.sector_num)[job.sector - 1]
    source = feature_source(plan.config, plan.backbone.id)
    trained = train_sector(snapshot, slices, source, config, config.seed + job.sector, watch_test=True)
    series = {split: sorted(snapshot.rows(split)["series_instance_uid"].unique()) for split in HELD_OUT}
    return SectorShare(
        slices=slices,
        history=trained.history,
        best_epoch=trained.best_epoch,
        training=trained.training,
        probabilities={
            split: series_probabilities([(slices, trained.model)], uids, source.read) for split, uids in series.items()
        },
    )


def finish_arm(plan: TrainingPlan, jobs: Mapping[SectorJob, str], shares: Mapping[SectorJob, SectorShare]) -> ArmResult:
    """Put the sectors of an arm together; the all-sector model answers for those that were left out."""
    own = [job for job in jobs if job.sector_num == plan.config.train.sector_num]
    return arm_result(
        plan.inputs_digest,
        Snapshot.load(plan.snapshot_path),
        plan.config.train,
        sectors=sector_slices(plan.config.preprocess.slices, plan.config.train.sector_num),
        shares=[shares[ALL_SECTORS if jobs[job] else job] for job in own],
        reasons=[jobs[job] for job in own],
        synthetic=plan.synthetic,
    )


def _reason(lacking: list[int]) -> str:
    return f"no {' and no '.join(CLASS_NAMES[label] for label in lacking)} slice in training" if lacking else ""
