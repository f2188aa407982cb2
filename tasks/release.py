"""Releases: register what was trained, pass the gate, put in force, take back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import version as installed_version

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.errors import ReleaseError
from lidcflow.learn.card import release_card
from lidcflow.learn.gate import judge
from lidcflow.learn.release import ReleaseRecord, SectorPin, portable, sector_model_name
from lidcflow.learn.sectors import sector_slices
from tasks.evaluate import Evaluation, SectorModel
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, open_run
from tasks.train import SectorJob, SectorResult, named_figures

ALL_SECTORS = SectorJob(sector_num=1, sector=1)


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
        uri = own.model_uri or stand_in.model_uri
        if uri is None:
            raise ReleaseError(
                f"release: sector {sector} of {sector_num} must have a model, but its own ended with '{own.reason}' "
                f"and the all-sector one with '{stand_in.reason}'; mend the cause and train again"
            )
        chosen.append(SectorModel(start=inside.start, stop=inside.stop, uri=uri))
    return chosen


@task(task_run_name="release", cache_policy=NO_CACHE)
def publish_release(
    plan: TrainingPlan, run_id: str, results: Sequence[SectorResult], evaluation: Evaluation
) -> ReleaseRecord:
    """Register the sector models and the release that pins them; put it in force if it passes the gate."""
    tracking = Tracking.of(plan.config)
    versions = {result.job: _register(tracking, result) for result in results if result.model_uri}
    source = registry.release_folder(tracking, run_id)
    version = registry.register_model(tracking, tracking.registry_name, source=source, run_id=run_id)
    record = _record(plan, tracking.registry_name, version, _pins(plan, results, versions, evaluation), evaluation)
    registry.complete_release(tracking, record, run_id, release_card(record))
    if record.gate.passed:
        registry.set_champion(tracking, version, record.gate.reason)
    return record


def training_run(plan: TrainingPlan) -> AbstractContextManager[Run]:
    """Open the run of a whole training; each sector is a run below it."""
    config = plan.config.train
    sectors = "1 sector" if config.sector_num == 1 else f"{config.sector_num} sectors"
    data = "synthetic CT" if plan.synthetic else "CT"
    counts = plan.slices
    note = (
        f"{sectors} of the chest on {config.backbone} features, {config.head} heads. {len(plan.series)} series of "
        f"{plan.patients} patients, {data}: {counts.non_nodule} slices without a nodule, {counts.benign} benign, "
        f"{counts.malignant} malignant. The runs below it are the sectors. Research use only."
    )
    name = f"{sectors}, {config.backbone}, {config.head}"
    tags = {"inputs": plan.inputs_digest, "data": data, "snapshot": plan.snapshot_digest[:12]}
    return open_run(Tracking.of(plan.config), name, note=note, tags=tags)


def log_plan(run: Run, plan: TrainingPlan) -> None:
    """Log what a training starts from: settings, and the snapshot as its data set."""
    config = plan.config
    run.params(portable(config.train).model_dump())
    run.params({f"preprocess_{key}": value for key, value in config.preprocess.model_dump().items()})
    run.params({f"labels_{key}": value for key, value in config.labels.model_dump().items()})
    run.params({f"split_{key}": value for key, value in config.split.model_dump().items()})
    run.params({"backbone_id": plan.backbone.id, "snapshot": plan.snapshot_digest})
    profile = {"series": len(plan.series), "patients": plan.patients, **plan.slices.model_dump()}
    run.dataset(plan.snapshot_path, name="snapshot", digest=plan.snapshot_digest, profile=profile)


def log_release(run: Run, record: ReleaseRecord) -> None:
    """Log a release on the run of its training: figures as a whole, and by sector with the sector as step."""
    run.tags({"release": str(record.version), "gate": "passed" if record.gate.passed else "refused"})
    for split, figures in record.metrics.items():
        run.metrics(named_figures(figures.release, split))
        run.metrics(named_figures(figures.sector_prior, f"{split}-sector-prior"))
        run.metrics(named_figures(figures.uniform, f"{split}-even-steps"))
    for pin in record.sectors:
        run.metrics(named_figures(pin.validation, "validation-by-sector"), step=pin.sector)
        run.metrics(named_figures(pin.test, "test-by-sector"), step=pin.sector)
    run.text(release_card(record), "release/card.md")


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


def promote(tracking: Tracking, version: int, *, force: bool, reason: str) -> ReleaseRecord:
    """Put a release in force.

    Raises
    ------
    ReleaseError
        If it is missing or incomplete, or the gate refused it and nobody forces it with a reason.
    """
    record = registry.load_release(tracking, str(version))
    if record.gate.passed:
        registry.set_champion(tracking, version, reason or record.gate.reason)
    elif force and reason:
        registry.set_champion(tracking, version, f"forced: {reason}")
    else:
        raise ReleaseError(
            f"release {record.name} version {version}: must have passed the gate, but {record.gate.reason}; "
            "to put it in force all the same, give --force and --reason"
        )
    return record


def rollback(tracking: Tracking) -> tuple[int, ReleaseRecord]:
    """Put the champion before the present one back in force; return the version taken back and the restored one.

    Raises
    ------
    ReleaseError
        If there is no champion, or none before it.
    """
    listed = registry.list_releases(tracking)
    current = next((release for release in listed if release.champion), None)
    if current is None or current.promoted is None:
        raise ReleaseError("rollback: a release must be in force, got none; see `lidcflow releases`")
    earlier = [
        (release.promoted, release.record)
        for release in listed
        if release.promoted and release.record and release.promoted < current.promoted
    ]
    if not earlier:
        raise ReleaseError(
            f"rollback: a release must have been in force before version {current.version}, got none; "
            "choose one of `lidcflow releases` and promote it"
        )
    _, record = max(earlier, key=lambda one: one[0])
    registry.restore_champion(tracking, record.version)
    return current.version, record


def _register(tracking: Tracking, result: SectorResult) -> int:
    name = sector_model_name(tracking.registry_name, result.job.sector_num, result.job.sector)
    return registry.register_model(
        tracking,
        name,
        source=str(result.model_uri),
        run_id=str(result.run_id),
        model_id=result.model_id,
        description=f"Features of a slice to P(non-nodule), P(benign), P(malignant), {result.job.title}. "
        "Research use only.",
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
        labels=config.labels,
        split=config.split,
        train=portable(config.train),
        threshold_nodule=evaluation.threshold_nodule,
        snapshot_digest=plan.snapshot_digest,
        inputs_digest=plan.inputs_digest,
        metrics=evaluation.metrics,
        gate=judge(evaluation.metrics["validation"], evaluation.champion),
        synthetic=plan.synthetic,
        lidcflow_version=installed_version("lidcflow"),
    )
