"""An experiment on rated nodules as files: a page for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidcflow.experiment.nodule_figures import NoduleComparison
from lidcflow.experiment.page import DATA, PAGE, TABLE, write
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.malignancy_figures import DesignFigures
from lidcflow.templates import templates_of

FIGURES = ("auroc", "accuracy", "sensitivity", "specificity", "precision")

WORDS = {
    "auroc": "AUROC",
    "above image": "above size alone, image",
    "above area_diameter_mm": "above size alone, outlines",
    "above reference": "above the first system",
}
"""Words for names of figures that are not their own."""


def rendered_nodules(comparison: NoduleComparison) -> dict[str, str]:
    """Return the files of an experiment, by name."""
    rows = nodule_rows(comparison)
    page = templates_of("lidcflow.experiment").get_template("nodules.html")
    text = page.render(comparison=comparison, columns=columns_of(rows), rows=rows, sizes=size_rows(comparison))
    return {PAGE: text, DATA: comparison.model_dump_json(indent=2) + "\n", TABLE: _csv(rows)}


def write_nodule_comparison(files: Mapping[str, str], folder: Path) -> Path:
    """Write the files of a comparison, together or not at all; return the page."""
    write(files, folder)
    return folder / PAGE


def columns_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the names of a row's values, each with its word for people."""
    return {name: WORDS.get(name, name) for name in rows[0]}


def nodule_rows(comparison: NoduleComparison) -> list[dict[str, Any]]:
    """Return a row for each design and system: what they are called, and figures.

    Returns
    -------
    list of dict
        ``design``, ``system``, and `Estimate` or None under the names of figures.
    """
    firsts = comparison.systems[0].figures
    return [
        {
            "design": figures.design,
            "system": one.system,
            **_named(figures),
            "above reference": one.above_reference.get(figures.design),
        }
        for place in range(len(firsts))
        for one in comparison.systems
        for figures in [one.figures[place]]
    ]


def size_rows(comparison: NoduleComparison) -> list[dict[str, Any]]:
    """Return a row for each design: its nodules, and the AUROC of size alone by each measure."""
    return [
        {"design": one.design, "benign": one.benign, "malignant": one.malignant, "patients": one.patients}
        | {f"size alone, {_measure(name)}": estimate for name, estimate in one.size_auroc.items()}
        for one in comparison.systems[0].figures
    ]


def _measure(name: str) -> str:
    return "outlines" if name == "area_diameter_mm" else name


def _named(figures: DesignFigures) -> dict[str, Estimate | None]:
    own = {name: getattr(figures, name) for name in FIGURES}
    return own | {f"above {name}": estimate for name, estimate in figures.above_size.items()}


def _csv(rows: list[dict[str, Any]]) -> str:
    flat = [{key: value for name, one in row.items() for key, value in _flat(name, one).items()} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {name: value}
    parts = (None, None, None) if value is None else (value.value, value.low, value.high)
    return dict(zip((name, f"{name} low", f"{name} high"), parts, strict=True))
