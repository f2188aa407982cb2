"""Releases: register sector models, pass the gate, keep record, card, backbone and evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import TrainConfig
from lidcflow.config.science import portable
from lidcflow.errors import ReleaseError
from lidcflow.evaluate.record import DATA, PAGE, ReleaseEvaluation
from lidcflow.learn.engines import keras_network
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.data_facts import data_facts
from lidcflow.release.description import release_description
from lidcflow.release.outcome import DataFacts
from lidcflow.release.pins import BackbonePin, SectorPin
from lidcflow.release.record import ReleaseRecord, sector_model_name
from lidcflow.stats.estimate import Estimate
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.sectors import sector_slices
from tasks.evaluate import Evaluation
from tasks.release_folder import keep_card, release_facts_folder, write_facts
from tasks.retries import is_worth_a_retry
from tasks.sector import ALL_SECTORS, SectorJob, SectorResult
from tasks.snapshot import TrainingPlan
from tasks.tracking import browse, registry
from tasks.tracking.connection import Tracking, tracking_connection
from tasks.tracking.loadable import keep_loadable
from tasks.tracking.models import log_model
from tasks.tracking.registry import RECORD_FOLDER
from tasks.tracking.runs import Run, run_of
from tasks.tracking.sector_models import SectorModel

COMPARED = ("auroc_nodule", "auprc_nodule", "sensitivity_at_5", "sensitivity_at_10", "spared_at_95", "froc_at_1")


def jobs_of(sector_num: int) -> list[SectorJob]:
    """List what is trained: every sector, and the model of all sectors that stands in for one without its own."""
    sectors = [SectorJob(sector_num=sector_num, sector=sector) for sector in range(1, sector_num + 1)]
    return sectors if ALL_SECTORS in sectors else [ALL_SECTORS, *sectors]


def choose_models(results: Iterable[SectorResult], slices: int, sector_num: int) -> list[SectorModel]:
    """Take for each sector its own model or else the all-sector one.

    Raises
    ------
    ReleaseError
        If a sector has neither.
    """
    by_job = {result.job: result for result in results}
    stand_in = by_job[ALL_SECTORS]
    chosen = []
    for sector, inside in enumerate(sector_slices(slices, sector_num), start=1):
        own = by_job[SectorJob(sector_num=sector_num, sector=sector)]
        result = own if own.model_uri else stand_in
        if result.model_uri is None:
            raise ReleaseError(
                f"release: sector {sector} of {sector_num} must have a model, but its own ended with '{own.reason}' "
                f"and the all-sector one with '{stand_in.reason}'; mend the cause and train again"
            )
        chosen.append(
            SectorModel(
                start=inside.start,
                stop=inside.stop,
                uri=result.model_uri,
                sha256=result.model_sha256,
                own=bool(own.model_uri),
            )
        )
    return chosen


@task(
    task_run_name="register sectors",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def register_sectors(tracking: Tracking, results: Sequence[SectorResult]) -> dict[SectorJob, int]:
    """Register the sector models, and return the version of each; what an earlier attempt registered is found again."""
    with tracking_connection(tracking):
        return {result.job: _register(tracking, result) for result in results if result.model_uri}


@task(task_run_name="release", cache_policy=NO_CACHE)
def publish_release(
    plan: TrainingPlan,
    run_id: str,
    results: Sequence[SectorResult],
    versions: Mapping[SectorJob, int],
    evaluation: Evaluation,
) -> ReleaseRecord:
    """Register the release that pins the sector models; put it in force if it passes the gate.

    Its facts go to the workspace and to the run of its training, the ways between its pages into the registry.
    """
    tracking = Tracking.of(plan.config)
    source = registry.release_folder(tracking, run_id)
    version = registry.register_model(tracking, tracking.registry_name, source=source, run_id=run_id)
    record = _record(plan, tracking.registry_name, version, _pins(plan, results, versions, evaluation), evaluation)
    description = release_description(record, browse.release_links(tracking, record, run_id))
    keep_card(run_of(tracking, run_id), record)
    keep_loadable(tracking, run_id)
    registry.complete_release(tracking, record, run_id, description)
    browse.link_back(tracking, record, run_id)
    write_facts(record, release_facts_folder(record, plan.config.reports_path))
    if record.gate.passed:
        registry.set_champion(tracking, version, record.gate.reason)
    return record


def sector_table(record: ReleaseRecord) -> list[dict[str, str]]:
    """List the sectors of a release for people: slices, training set, figures, model."""
    return [
        {
            "sector": str(pin.sector),
            "slices": f"{pin.first_slice} to {pin.last_slice}",
            "trained on": str(pin.training.total),
            "benign": str(pin.training.benign),
            "malignant": str(pin.training.malignant),
            "AUROC validation": str(pin.validation["auroc_nodule"]),
            "AUROC test": str(pin.test["auroc_nodule"]),
            "model": f"{pin.model_name} version {pin.version}",
            "remark": f"all-sector model: {pin.reason}" if pin.fallback else "",
        }
        for pin in record.sectors
    ]


def data_of(plan: TrainingPlan) -> DataFacts:
    """Count what a training was about, by split and by how its series were acquired."""
    volumes = VolumeStore.of(plan.config).summaries(plan.series_uids)
    acquisitions = (volume.acquisition for volume in volumes)
    return data_facts(Snapshot.load(plan.snapshot_path), acquisitions, folds=bool(plan.config.train.folds))


def _register(tracking: Tracking, result: SectorResult) -> int:
    name = sector_model_name(tracking.registry_name, result.job.sector_num, result.job.sector)
    return registry.register_model(
        tracking,
        name,
        source=str(result.model_uri),
        run_id=str(result.run_id),
        model_id=result.model_id,
        sha256=result.model_sha256,
        description=f"Trained on {result.job.title}; no release pins it yet. Research use only.",
    )


def _pins(
    plan: TrainingPlan, results: Iterable[SectorResult], versions: Mapping[SectorJob, int], evaluation: Evaluation
) -> tuple[SectorPin, ...]:
    by_job = {result.job: result for result in results}
    sector_num = plan.config.train.sector_num
    parts = zip(sector_slices(plan.config.preprocess.slices, sector_num), evaluation.sectors, strict=True)
    pins = []
    for sector, (slices, figures) in enumerate(parts, start=1):
        own = by_job[SectorJob(sector_num=sector_num, sector=sector)]
        result = own if own.model_uri else by_job[ALL_SECTORS]
        pins.append(
            SectorPin(
                sector=sector,
                first_slice=slices.start + 1,
                last_slice=slices.stop,
                model_name=sector_model_name(
                    plan.config.tracking.registry_name, result.job.sector_num, result.job.sector
                ),
                version=versions[result.job],
                fallback=result is not own,
                reason=own.reason,
                training=result.training,
                sha256=result.model_sha256,
                **figures,
            )
        )
    return tuple(pins)


def _record(
    plan: TrainingPlan, name: str, version: int, pins: tuple[SectorPin, ...], evaluation: Evaluation
) -> ReleaseRecord:
    config = plan.config
    return ReleaseRecord(
        name=name,
        version=version,
        created=datetime.now(UTC),
        sector_num=config.train.sector_num,
        sectors=pins,
        backbone=plan.backbone,
        preprocess=config.preprocess,
        preprocess_digest=config.preprocess.digest,
        labels=config.labels.portable,
        split=config.split,
        train=portable(config.train),
        threshold_nodule=evaluation.threshold.value,
        snapshot_digest=plan.snapshot_digest,
        snapshot_id=plan.snapshot_id,
        inputs_digest=plan.inputs_digest,
        metrics=evaluation.metrics,
        gate=evaluation.gate,
        synthetic=plan.synthetic,
        lidcflow_version=installed_version("lidcflow"),
        threshold=evaluation.threshold,
        data=data_of(plan),
        nodules=evaluation.nodules,
        findings=evaluation.findings,
        detector_reason=plan.detector_reason,
        systems=plan.systems,
        chosen=plan.chosen,
        folds=evaluation.folds,
        marks=plan.marks,
    )


def is_in_the_package(config: TrainConfig) -> bool:
    """Return whether the backbone is the compact one that is installed with lidcflow."""
    return config.backbone == "compact" and config.backbone_weights is None


@task(task_run_name="register {plan.backbone.id}", cache_policy=NO_CACHE)
def register_backbone(plan: TrainingPlan, run_id: str) -> BackbonePin:
    """Register the backbone unless the registry has it, and return its pin."""
    tracking = Tracking.of(plan.config)
    name = f"{tracking.registry_name}.backbone.{plan.backbone.id}"
    version = registry.newest_version(tracking, name) or _register_backbone(name, plan, tracking, run_id)
    sha256 = registry.digest_of_version(tracking, name, version)
    return plan.backbone.model_copy(update={"model_name": name, "version": version, "model_sha256": sha256})


def _register_backbone(name: str, plan: TrainingPlan, tracking: Tracking, run_id: str) -> int:
    model, backbone = keras_network(plan.config.train, plan.config.preprocess.size)
    logged = log_model(run_of(tracking, run_id), tracking, model, "backbone")
    return registry.register_model(
        tracking,
        name,
        source=logged.uri,
        run_id=run_id,
        model_id=logged.model_id,
        sha256=logged.sha256,
        description=f"Images of slices to {backbone.feature_dim} features; weight file SHA-256 {backbone.digest}. "
        "Research use only.",
    )


def log_evaluation(run: Run, evaluation: ReleaseEvaluation, folder: Path) -> None:
    """Keep page and figures beside the release's card, and log the figures, by sector with the sector as step.

    Of a baseline only what people compare first; the page has all of it.
    """
    for name in (PAGE, DATA):
        run.text((folder / name).read_text(encoding="utf-8"), f"{RECORD_FOLDER}/{evaluation.split}/{name}")
    group = f"evaluate-{evaluation.split}"
    for one in evaluation.contestants:
        of_one = group if one is evaluation.own else f"{group}-{one.key}"
        figures = one.nodules | (one.slices.natural if one.slices else {})
        compared = figures if one is evaluation.own else {key: figures[key] for key in COMPARED if key in figures}
        run.metrics(_named(compared, of_one))
    if evaluation.findings:
        run.metrics(_named(evaluation.findings.figures, f"{group}-of-findings"))
    run.metrics(_named(evaluation.operating_point, f"{group}-at-threshold"))
    if evaluation.own.slices:
        run.metrics(_named(evaluation.own.slices.balanced, f"{group}-balanced"))
    for sector in evaluation.sectors:
        run.metrics(_named(sector.slices.natural, f"{group}-by-sector"), step=sector.sector)


def _named(figures: Mapping[str, Estimate], group: str) -> dict[str, float | None]:
    """Name figures for MLflow; a slash would start a group, as in `froc_at_1/8`."""
    return {f"{group}/{key.replace('/', '-of-')}": one.value for key, one in figures.items()}
