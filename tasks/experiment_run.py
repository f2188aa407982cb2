"""The MLflow runs of an experiment: one parent, and one run below it for each arm."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress

from lidcflow.errors import TrainingError
from lidcflow.learn.arm import ArmResult, SectorCurves
from lidcflow.learn.comparison import Compared, Comparison, Figures
from lidcflow.learn.release import settings_of
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run, open_run

SOURCE = {"mlflow.source.name": "lidcflow experiment"}
CURVES = {"training": "", "validation": "val_", "test": "test_"}


def experiment_run(tracking: Tracking, name: str, question: str, arms: int) -> AbstractContextManager[Run]:
    """Open the run of an experiment."""
    note = f"{question} The {arms} runs below it are the arms; nothing is registered. Research use only.".strip()
    return open_run(tracking, f"experiment {name}", note=note, tags={**SOURCE, "experiment": name})


def log_arm(
    tracking: Tracking, parent_id: str, plan: TrainingPlan, result: ArmResult, compared: Compared, *, reused: bool
) -> None:
    """Log an arm as a run below the experiment's: settings, curves of each sector, figures."""
    config = plan.config
    tags = {**SOURCE, "arm": compared.name, "reused": "yes" if reused else "no", "snapshot": plan.snapshot_digest[:12]}
    with open_run(tracking, compared.name, parent_id=parent_id, tags=tags) as run:
        run.params(settings_of(config.train))
        run.params({f"preprocess_{key}": value for key, value in config.preprocess.model_dump().items()})
        run.params({f"labels_{key}": value for key, value in config.labels.portable.model_dump().items()})
        run.params({f"split_{key}": value for key, value in config.split.model_dump().items()})
        run.params({"series": result.series, "patients": result.patients, "slices_seen": compared.slices_seen})
        for sector in result.sectors:
            run.series(_curves(sector))
        run.metrics(_named(compared.figures))


def log_failed_arm(tracking: Tracking, parent_id: str, name: str, reason: str) -> None:
    """Log an arm that failed as a failed run below the experiment's, with its reason."""
    with suppress(TrainingError), open_run(tracking, name, parent_id=parent_id, tags={**SOURCE, "arm": name}):
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
