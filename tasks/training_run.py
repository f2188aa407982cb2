"""The MLflow run of a whole training: what it started from and what it came to."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lidcflow.learn.card import release_card
from lidcflow.learn.release import ReleaseRecord, settings_of
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, open_run
from tasks.train import named_figures

COMPARED = ("auroc_nodule", "log_loss", "sensitivity_at_5", "sensitivity_at_10")
"""Figures of the baselines that are logged beside the release's; the card has all."""


def training_run(plan: TrainingPlan) -> AbstractContextManager[Run]:
    """Open the run of a whole training; each sector is a run below it."""
    config = plan.config.train
    sectors = "1 sector" if config.sector_num == 1 else f"{config.sector_num} sectors"
    data = "synthetic CT" if plan.synthetic else "CT"
    counts = plan.slices
    tuned = f" finetuned from {config.first_block()}" if config.mode == "finetune" else ""
    note = (
        f"{sectors} of the chest on {config.backbone} features{tuned}, {config.head} heads. "
        f"{len(plan.series)} series of {plan.patients} patients, {data}: {counts.non_nodule} slices without a "
        f"nodule, {counts.benign} benign, {counts.malignant} malignant. The runs below it are the sectors. "
        "Research use only."
    )
    name = f"{sectors}, {config.backbone}{tuned}, {config.head}"
    tags = {"inputs": plan.inputs_digest, "data": data, "snapshot": plan.snapshot_digest[:12]}
    return open_run(Tracking.of(plan.config), name, note=note, tags=tags)


def log_plan(run: Run, plan: TrainingPlan) -> None:
    """Log what a training starts from: settings, and the snapshot as its data set."""
    config = plan.config
    run.params(settings_of(config.train))
    run.params({f"preprocess_{key}": value for key, value in config.preprocess.model_dump().items()})
    run.params({f"labels_{key}": value for key, value in config.labels.portable.model_dump().items()})
    run.params({f"split_{key}": value for key, value in config.split.model_dump().items()})
    run.params({"backbone_id": plan.backbone.id, "snapshot": plan.snapshot_digest})
    profile = {"series": len(plan.series), "patients": plan.patients, **plan.slices.model_dump()}
    run.dataset(plan.snapshot_path, name="snapshot", digest=plan.snapshot_digest, profile=profile)


def log_release(run: Run, record: ReleaseRecord) -> None:
    """Log a release on the run of its training: figures as a whole, and by sector with the sector as step."""
    run.tags({"release": str(record.version), "gate": "passed" if record.gate.passed else "refused"})
    for split, figures in record.metrics.items():
        run.metrics(named_figures(figures.release, split))
        for name, baseline in (("sector-prior", figures.sector_prior), ("even-steps", figures.uniform)):
            compared = {key: value for key, value in baseline.items() if key in COMPARED}
            run.metrics(named_figures(compared, f"{split}-{name}"))
    for pin in record.sectors:
        run.metrics(named_figures(pin.validation, "validation-by-sector"), step=pin.sector)
        run.metrics(named_figures(pin.test, "test-by-sector"), step=pin.sector)
    run.text(release_card(record), "release/card.md")
