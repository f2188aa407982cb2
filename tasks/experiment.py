"""An experiment: a training plan for each arm, one task a sector, one MLflow run an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.errors import LidcflowError, TrainingError
from lidcflow.experiment.arm import HELD_OUT, ArmResult, SectorCurves, SectorShare, arm_result, find_arm
from lidcflow.experiment.builtin import Arm, experiments_of
from lidcflow.experiment.comparison import Compared, Comparison, Figures, compare_arms
from lidcflow.labels.slices import CLASS_NAMES
from lidcflow.learn.predict import series_probabilities
from lidcflow.learn.snapshot import Snapshot, lacking_classes
from lidcflow.release.training_inputs import inputs_digest, training_settings
from lidcflow.volume.sectors import sector_slices
from tasks.features import feature_source
from tasks.fit_sector import fit_sector, slices_of
from tasks.retries import is_worth_a_retry
from tasks.sector import ALL_SECTORS, SectorJob
from tasks.snapshot import TrainingPlan, pin_backbone, plan_slices
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, open_run
from tasks.train import CHART_NOTE, headlines, profile_of

SOURCE = {"mlflow.source.name": "lidcflow experiment"}

CURVES = {"training": "", "validation": "val_", "test": "test_"}


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment, and the results of its arms so far.

    Attributes
    ----------
    plans : dict
        By the name of an arm; one that can't be planned is in `failed`.
    known : dict
        Arms that had been trained before.
    failed : dict
        Reasons, by the name of an arm.
    """

    name: str
    question: str
    arms: Sequence[Arm]
    plans: dict[str, TrainingPlan] = field(default_factory=dict)
    known: dict[str, ArmResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> dict[str, TrainingPlan]:
        """Plans of the arms that are to be trained."""
        return {name: plan for name, plan in self.plans.items() if name not in self.known}

    def compared(self, trained: Mapping[str, ArmResult], failed: Mapping[str, str]) -> Comparison:
        """Compare the arms of earlier runs and of this one.

        Raises
        ------
        TrainingError
            If no arm is done.
        """
        done, reasons = {**self.known, **trained}, {**self.failed, **failed}
        if not done:
            arm, reason = next(iter(reasons.items()))
            raise TrainingError(f"experiment {self.name}: at least one arm must be trained, got: {arm}: {reason}")
        return compare_arms(
            self.name, self.question, [(arm, done[arm.name]) for arm in self.arms if arm.name in done], reasons
        )


def arms_folder(workspace: Path) -> Path:
    """Return the folder that keeps arms that are done, whatever experiments they belong to."""
    return workspace / "experiments"


def plan_experiment(name: str, arms: Sequence[Arm], config: Config) -> ExperimentPlan:
    """Plan every arm, and find those that were trained before on the same inputs."""
    plan = ExperimentPlan(name, experiments_of(config.experiments)[name].question, arms)
    shared: dict[object, TrainingPlan] = {}
    for arm in arms:
        try:
            plan.plans[arm.name] = planned = _plan(arm.config, shared)
        except LidcflowError as error:
            plan.failed[arm.name] = str(error)
            continue
        if found := find_arm(arms_folder(config.workspace), planned.inputs_digest):
            plan.known[arm.name] = found
    return plan


def _plan(config: Config, shared: dict[object, TrainingPlan]) -> TrainingPlan:
    """Plan an arm; labels and snapshot are taken once for all arms on the same volumes, labels and splits."""
    key = (config.store_root, config.labels, config.split)
    if key not in shared:
        shared[key] = plan_slices(config)
    plan, backbone = shared[key], pin_backbone(config)
    digest = inputs_digest(plan.snapshot_digest, backbone.id, config.preprocess.digest, config.train, config.labels)
    return plan.model_copy(update={"config": config, "backbone": backbone, "inputs_digest": digest})


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
    snapshot = Snapshot.load(plan.snapshot_path)
    slices, source = slices_of(job, plan.config.preprocess.slices), feature_source(plan.config, plan.backbone.id)
    trained = fit_sector(job, snapshot, source, plan.config, watch_test=True)
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


def experiment_run(tracking: Tracking, name: str, question: str, arms: int) -> AbstractContextManager[Run]:
    """Open the run of an experiment."""
    note = f"{question} The {arms} runs below it are the arms; nothing is registered. Research use only.".strip()
    tags = {**SOURCE, "experiment": name}
    return open_run(tracking.for_experiments(), f"experiment {name}", note=note, tags=tags)


def log_arm(
    tracking: Tracking, parent_id: str, plan: TrainingPlan, result: ArmResult, compared: Compared, *, reused: bool
) -> None:
    """Log an arm as a run below the experiment's: settings, curves of each sector, figures."""
    config = plan.config
    tags = {**SOURCE, "arm": compared.name, "reused": "yes" if reused else "no", "snapshot": plan.snapshot_digest[:12]}
    with open_run(tracking.for_experiments(), compared.name, parent_id=parent_id, note=CHART_NOTE, tags=tags) as run:
        digest = plan.snapshot_id or plan.snapshot_digest
        run.reads(plan.snapshot_path, name="snapshot", digest=digest, profile=profile_of(plan))
        run.params(training_settings(config.train))
        run.params({f"preprocess_{key}": value for key, value in config.preprocess.model_dump().items()})
        run.params({f"labels_{key}": value for key, value in config.labels.portable.model_dump().items()})
        run.params({f"split_{key}": value for key, value in config.split.model_dump().items()})
        run.params({"series": result.series, "patients": result.patients, "slices_seen": compared.slices_seen})
        for split, figures in compared.figures.items():
            run.metrics(headlines(figures, split))
        for sector in result.sectors:
            run.series(_curves(sector))
        run.metrics(_named(compared.figures))


def log_failed_arm(tracking: Tracking, parent_id: str, name: str, reason: str) -> None:
    """Log an arm that failed as a failed run below the experiment's, with its reason."""
    tags, tracking = {**SOURCE, "arm": name}, tracking.for_experiments()
    with suppress(TrainingError), open_run(tracking, name, parent_id=parent_id, tags=tags):
        raise TrainingError(reason)


def log_comparison(run: Run, comparison: Comparison, files: Mapping[str, str]) -> None:
    """Log the comparison on the experiment's run: its files, and figures with the configuration's place as step."""
    for step, configuration in enumerate(comparison.configurations, start=1):
        run.metrics(_named(configuration.figures), step=step)
    run.tags({"data": "synthetic CT" if comparison.synthetic else "CT", "failed": str(len(comparison.failed))})
    for name, text in files.items():
        run.text(text, name)


def _named(figures: Figures) -> dict[str, float | None]:
    return {f"{split}/{name}": figure.value for split, of in figures.items() for name, figure in of.items()}


def _curves(sector: SectorCurves) -> dict[str, dict[int, float | None]]:
    """Name curves so that MLflow draws all sectors of one quantity and split in one group."""
    return {
        f"{quantity}-{split}/sector-{sector.sector:02d}": dict(enumerate(sector.history[prefix + quantity], start=1))
        for quantity in ("accuracy", "loss")
        for split, prefix in CURVES.items()
        if prefix + quantity in sector.history
    }
