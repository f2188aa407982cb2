"""An experiment on rated nodules in MLflow: one run with the figures and the page."""

from __future__ import annotations

from collections.abc import Mapping

from lidcflow.experiment.nodule_figures import NoduleComparison
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import open_run

SOURCE = {"mlflow.source.name": "lidcflow experiment"}


def log_nodule_comparison(comparison: NoduleComparison, files: Mapping[str, str], tracking: Tracking) -> str:
    """Log an experiment on rated nodules; nothing is registered.

    Parameters
    ----------
    comparison : NoduleComparison
        The AUROC of a system in a design is a metric; the step of a system is its place.
    files : mapping of str to str
        Kept as artifacts.
    tracking : Tracking

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    TrackingUnavailable
        If the server does not answer, or goes away meanwhile.
    """
    note = f"{comparison.question} Cross-validated on rated nodules; nothing is registered. Research use only."
    name = comparison.experiment
    tags = {**SOURCE, "experiment": name}
    with open_run(tracking.for_experiments(), f"experiment {name}", note=note, tags=tags) as run:
        run.params({"nodules": comparison.nodules, "patients": comparison.patients, "folds": comparison.folds})
        for step, system in enumerate(comparison.systems, start=1):
            run.metrics({f"auroc/{one.design}": one.auroc.value for one in system.figures}, step=step)
        for file, text in files.items():
            run.text(text, file)
    return run.run_id
