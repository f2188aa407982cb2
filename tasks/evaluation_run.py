"""An evaluation on the run that trained the release: its page, and its figures as metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lidcflow.evaluate.page import DATA, PAGE
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.learn.release import Estimate
from tasks.tracking.registry import RECORD_FOLDER
from tasks.tracking.runs import Run

COMPARED = ("auroc_nodule", "auprc_nodule", "sensitivity_at_5", "sensitivity_at_10", "spared_at_95", "froc_at_1")


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
    run.metrics(_named(evaluation.operating_point, f"{group}-at-threshold"))
    if evaluation.own.slices:
        run.metrics(_named(evaluation.own.slices.balanced, f"{group}-balanced"))
    for sector in evaluation.sectors:
        run.metrics(_named(sector.slices.natural, f"{group}-by-sector"), step=sector.sector)


def _named(figures: Mapping[str, Estimate], group: str) -> dict[str, float | None]:
    """Name figures for MLflow; a slash would start a group, as in `froc_at_1/8`."""
    return {f"{group}/{key.replace('/', '-of-')}": one.value for key, one in figures.items()}
