"""The comparison of an experiment as files: a page for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import secrets
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from lidcflow.learn.arm import ArmResult
from lidcflow.learn.arm_figures import overview, sector_curves
from lidcflow.learn.comparison import FIGURES, Compared, Comparison, Spread
from lidcflow.learn.experiments import PAPER_TRAINING_ACCURACY

PAGE, DATA, TABLE = "report.html", "comparison.json", "comparison.csv"

WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auroc_nodule": "AUROC, nodule",
    "auroc_malignant": "AUROC, malignant",
    "log_loss": "log loss",
}


def rendered(comparison: Comparison, results: Mapping[str, ArmResult]) -> dict[str, str]:
    """Return the files of a comparison by name.

    Parameters
    ----------
    comparison : Comparison
        From `lidcflow.learn.comparison.compare`.
    results : mapping of str to ArmResult
        The arms that are compared, by name.
    """
    return {PAGE: _page(comparison, results), DATA: _json(comparison), TABLE: _csv(comparison)}


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write files, all drafts before the first rename, so that a full disk leaves the earlier ones as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    drafts = {name: folder / f".{name}.{secrets.token_hex(4)}" for name in files}
    try:
        for name, draft in drafts.items():
            draft.write_text(files[name], encoding="utf-8")
        for name, draft in drafts.items():
            draft.replace(folder / name)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def is_written(comparison: Comparison, folder: Path) -> bool:
    """Tell whether exactly this comparison lies in its folder, with its page."""
    file = folder / DATA
    return (folder / PAGE).is_file() and file.is_file() and file.read_text(encoding="utf-8") == _json(comparison)


def _json(comparison: Comparison) -> str:
    return comparison.model_dump_json(indent=2) + "\n"


def _csv(comparison: Comparison) -> str:
    """List the arms, a row each, with every figure and its interval."""
    rows = [_csv_row(arm) for arm in comparison.arms]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_row(arm: Compared) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": arm.name,
        "seed": arm.seeds[0],
        **arm.model_dump(exclude={"name", "seeds", "figures"}),
    }
    for split, figures in arm.figures.items():
        for name, spread in figures.items():
            row |= {f"{split}_{name}": spread.value, f"{split}_{name}_low": spread.low}
            row |= {f"{split}_{name}_high": spread.high}
    return row


def _page(comparison: Comparison, results: Mapping[str, ArmResult]) -> str:
    firsts = {one.name: _first_arm(one, comparison) for one in comparison.configurations}
    return (
        _environment()
        .get_template("experiment.html")
        .render(
            comparison=comparison,
            words=WORDS,
            names=list(FIGURES),
            published=PAPER_TRAINING_ACCURACY if comparison.experiment == "paper" else {},
            overview=_embedded(overview(comparison.configurations)),
            sections=[
                (one, results[firsts[one.name]], _embedded(sector_curves(results[firsts[one.name]].sectors)))
                for one in comparison.configurations
            ],
        )
    )


def _first_arm(configuration: Compared, comparison: Comparison) -> str:
    """Name the arm whose curves stand for the configuration: that of its first seed."""
    names = [arm.name for arm in comparison.arms]
    with_seed = f"{configuration.name}, seed {configuration.seeds[0]}"
    return with_seed if with_seed in names else configuration.name


def _embedded(figure: Figure) -> str:
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "lidcflow"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + b64encode(text.getvalue().encode()).decode("ascii")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _seeds(spread: Spread, seeds: tuple[int, ...]) -> str:
    """Say how far the seeds of a figure spread; one seed does not."""
    if len(seeds) < 2 or spread.seeds_low is None:
        return ""
    return f"seeds {spread.seeds_low:.3f} to {spread.seeds_high:.3f}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lidcflow.learn"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"percent": _percent, "figure": _figure, "signed": _signed, "seeds": _seeds})
    return environment
