"""The MLflow run of a whole training: its inputs and its results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lidcflow.errors import TrackingUnavailable
from lidcflow.release.outcome import GateCheck
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.training_inputs import training_settings
from tasks.sector import kept_run, note_run
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking, tracking_connection
from tasks.tracking.runs import Run, end_run, open_run, resume_run, run_of, runs_tagged, start_run
from tasks.train import headlines, named_figures, profile_of

COMPARED = ("auroc_nodule", "log_loss", "sensitivity_at_5", "sensitivity_at_10")
"""Figures of the baselines that are logged beside the release's; the card has all."""


def begin_training(plan: TrainingPlan) -> Run:
    """Open the run of a training, or go on with that of an earlier attempt, and log what it starts from.

    Raises
    ------
    TrackingUnavailable
        If MLflow does not answer.
    """
    tracking = Tracking.of(plan.config)
    with tracking_connection(tracking):
        run_id = kept_run(plan)
        if run_id is None or not resume_run(tracking, run_id):
            run_id = _start(plan, tracking)
            note_run(plan, run_id)
        run = run_of(tracking, run_id)
        log_plan(run, plan)
    return run


@contextmanager
def failing_with_its_run(plan: TrainingPlan) -> Iterator[None]:
    """End the run of a training as failed if the block raises; while MLflow is unavailable, the run stays open."""
    try:
        yield
    except BaseException as error:
        if run_id := kept_run(plan):
            with suppress(TrackingUnavailable):
                end_run(Tracking.of(plan.config), run_id, error)
        raise


def _start(plan: TrainingPlan, tracking: Tracking) -> str:
    config = plan.config.train
    sectors = "1 sector" if config.sector_num == 1 else f"{config.sector_num} sectors"
    data = "synthetic CT" if plan.synthetic else "CT"
    counts = plan.slices
    tuned = f" finetuned from {config.first_block()}" if config.mode == "finetune" else ""
    folds = f", {config.folds} folds" if config.folds else ""
    below = "the sectors, and the folds of the cross-validation" if config.folds else "the sectors"
    note = (
        f"{sectors} of the chest on {config.backbone} features{tuned}, {config.head} heads{folds}. "
        f"{plan.series} series of {plan.patients} patients, {data}: {counts.non_nodule} slices without a "
        f"nodule, {counts.benign} benign, {counts.malignant} malignant. The runs below it are {below}. "
        "Research use only."
    )
    name = f"{sectors}, {config.backbone}{tuned}, {config.head}{folds}"
    tags = {"inputs": plan.inputs_digest, "data": data, "snapshot": plan.snapshot_id[:12]}
    return start_run(tracking, name, note=note, tags=tags)


def log_plan(run: Run, plan: TrainingPlan) -> None:
    """Log what a training starts from: settings, and the snapshot as its data set."""
    config = plan.config
    groups = {"preprocess": config.preprocess, "labels": config.labels.portable, "split": config.split}
    of_groups = {f"{name}_{key}": value for name, group in groups.items() for key, value in group.model_dump().items()}
    backbone = {"backbone_id": plan.backbone.id, "snapshot": plan.snapshot_id}
    run.params({**training_settings(config.train), **of_groups, **backbone})
    run.dataset(plan.snapshot_path, name="snapshot", digest=plan.snapshot_id, profile=profile_of(plan))


def log_folds(plan: TrainingPlan, record: ReleaseRecord, run_id: str) -> None:
    """Log each fold of a cross-validation as a run below that of the training, unless an earlier attempt has."""
    tracking = Tracking.of(plan.config)
    for one in record.folds:
        tags = {"fold": str(one.fold), "release": str(record.version), "training": run_id}
        if runs_tagged(tracking, tags):
            continue
        name = f"fold {one.fold} of {len(record.folds)}"
        note = f"{one.patients} test patients, {one.series} series; figures of slices by the models of this fold."
        with open_run(tracking, name, parent_id=run_id, note=note, tags=tags) as run:
            run.params({"fold": one.fold, "test_patients": one.patients, "test_series": one.series})
            run.metrics(headlines(one.validation, "validation") | headlines(one.test, "test"))
            run.metrics(named_figures(one.validation, "validation") | named_figures(one.test, "test"))


def log_release(run: Run, record: ReleaseRecord) -> None:
    """Log a release on its training's run: figures of the whole, of the gate, of sectors with the sector as step."""
    run.tags({"release": str(record.version), "gate": "passed" if record.gate.passed else "refused"})
    for split, figures in record.metrics.items():  # before all others: a run's page lists figures as they were logged
        run.metrics(headlines(figures.release, split))
    for split, figures in record.metrics.items():
        run.metrics(named_figures(figures.release, split))
        for name, baseline in (("sector-prior", figures.sector_prior), ("even-steps", figures.uniform)):
            compared = {key: value for key, value in baseline.items() if key in COMPARED}
            run.metrics(named_figures(compared, f"{split}-{name}"))
    for split, found in record.findings.items():
        run.metrics(named_figures(found.figures, f"{split}-findings"))
    run.metrics({_gate_name(check): check.value.value for check in record.gate.checks if check.sector is None})
    run.series(_by_sector(record))


def _by_sector(record: ReleaseRecord) -> dict[str, dict[int, float | None]]:
    """Return the figures of the sectors, with the sector as step."""
    series: dict[str, dict[int, float | None]] = {}
    for pin in record.sectors:
        of_pin = named_figures(pin.validation, "validation-by-sector") | named_figures(pin.test, "test-by-sector")
        for name, value in of_pin.items():
            series.setdefault(name, {})[pin.sector] = value
    return series


def _gate_name(check: GateCheck) -> str:
    against = f"-against-{check.against.replace(' ', '-')}" if check.against else ""
    return f"gate/{check.figure}{against}"
