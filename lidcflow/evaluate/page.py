"""The page of an evaluation and its JSON: self-contained files that open without a network."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from matplotlib.figure import Figure

from lidcflow.evaluate import plots, tables
from lidcflow.evaluate.record import DATA, PAGE, ReleaseEvaluation
from lidcflow.evaluate.subgroups import FEW_PATIENTS, SHOWN
from lidcflow.files import write_together
from lidcflow.templates import templates_of


def write_evaluation(evaluation: ReleaseEvaluation, folder: Path) -> Path:
    """Write ``evaluation.json`` and ``report.html``, each whole or not at all, and return the page's path.

    Parameters
    ----------
    evaluation : ReleaseEvaluation
        What to say.
    folder : Path
        Made if need be; files of an earlier evaluation are replaced.
    """
    texts = {PAGE: render_evaluation(evaluation), DATA: evaluation.model_dump_json(indent=2)}
    folder.mkdir(parents=True, exist_ok=True)
    write_together(texts, folder)
    return folder / PAGE


def render_evaluation(evaluation: ReleaseEvaluation) -> str:
    """Return the page of an evaluation as HTML, figures inside it."""
    template = templates_of("lidcflow.evaluate").get_template("evaluation.html")
    return template.render(
        evaluation=evaluation,
        tables=tables,
        ranked=[one for one in evaluation.contestants if one.slices],
        few=FEW_PATIENTS,
        shown=SHOWN,
        names=tables.SLICE_NAMES | tables.REVIEW_NAMES,
        figures={name: _inline(figure) for name, figure in _figures(evaluation).items()},
    )


def _figures(evaluation: ReleaseEvaluation) -> dict[str, Figure]:
    own = evaluation.own.slices
    if own is None:
        raise ValueError("evaluation: the first contestant must be the release, with figures of slices")
    found = {"findings": plots.finding_curve(evaluation.findings)} if evaluation.findings else {}
    return found | {
        "review": plots.review_curves(evaluation),
        "froc": plots.froc_curves(evaluation),
        "reliability": plots.release_reliability(own.reliability),
        "confusion": plots.release_confusion(own),
        "sector_auroc": plots.sector_auroc(evaluation.sectors),
        "sector_reliability": plots.sector_reliability(evaluation.sectors),
        "sector_confusion": plots.sector_confusion(evaluation.sectors),
    }


def _inline(figure: Figure) -> str:
    return f"data:image/svg+xml;base64,{b64encode(plots.as_svg(figure)).decode('ascii')}"
