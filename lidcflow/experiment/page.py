"""The comparison of an experiment as files: a page with figures for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lidcflow.experiment.arm import ArmResult, SectorCurves
from lidcflow.experiment.builtin import PAPER_TRAINING_ACCURACY
from lidcflow.experiment.comparison import FIGURES, Compared, Comparison, Spread
from lidcflow.files import write_together
from lidcflow.stats.plots import BLUE, GREY
from lidcflow.templates import templates_of

CURVES = {"training": "", "validation": "val_", "test": "test_"}
OVERVIEW = {"balanced_accuracy": "balanced accuracy", "auroc_nodule": "AUROC, nodule", "log_loss": "log loss"}


PAGE, DATA, TABLE = "report.html", "comparison.json", "comparison.csv"

WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auroc_nodule": "AUROC, nodule",
    "auroc_malignant": "AUROC, malignant",
    "log_loss": "log loss",
}


def sector_curves(sectors: Sequence[SectorCurves]) -> Figure:
    """Draw accuracy and loss by epoch, one line a sector: training, validation and test beside each other.

    Parameters
    ----------
    sectors : sequence of SectorCurves
        Of one arm; a sector without curves is left out.
    """
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    grid: Any = figure.subplots(2, len(CURVES), sharex=True, sharey="row")
    drawn = [sector for sector in sectors if sector.history]
    for row, quantity in zip(grid, ("accuracy", "loss"), strict=True):
        for axis, (split, prefix) in zip(row, CURVES.items(), strict=True):
            _draw_curves(axis, drawn, prefix + quantity, len(sectors))
            axis.set_title(f"{split} {quantity}", fontsize=9, loc="left")
    grid[0, 0].set_ylim(0, 1)
    for axis in grid[1]:
        axis.set_xlabel("epoch", fontsize=8)
    if len(drawn) > 1:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return figure


def overview(configurations: Sequence[Compared]) -> Figure:
    """Draw figures on the test patients: a dot with its interval for each configuration, a thick line for its seeds.

    Parameters
    ----------
    configurations : sequence of Compared
        From top to bottom.
    """
    figure = Figure(figsize=(10.5, 0.9 + 0.34 * len(configurations)), layout="constrained")
    axes: Any = figure.subplots(1, len(OVERVIEW), sharey=True)
    for axis, (name, title) in zip(axes, OVERVIEW.items(), strict=True):
        for place, one in enumerate(configurations):
            spread = one.figures["test"][name]
            if spread.value is None:
                continue
            axis.plot([spread.seeds_low, spread.seeds_high], [place, place], color=BLUE, linewidth=5, alpha=0.35)
            if spread.low is not None:
                axis.plot([spread.low, spread.high], [place, place], color=BLUE, linewidth=1.2)
            axis.plot(spread.value, place, "o", color=BLUE, markersize=5)
        _plain(axis)
        axis.set_title(title, fontsize=9, loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.grid(axis="x", color=GREY, alpha=0.25)
    axes[0].set_yticks(range(len(configurations)), [one.name for one in configurations], fontsize=8)
    axes[0].set_ylim(len(configurations) - 0.5, -0.5)
    return figure


def _draw_curves(axis: Axes, sectors: Sequence[SectorCurves], key: str, of: int) -> None:
    shades = colormaps["viridis"](np.linspace(0, 0.88, max(of, 1)))
    for sector in sectors:
        values = sector.history.get(key, [])
        where = f"sector {sector.sector}" if of > 1 else "all slices"
        epochs, marker = range(1, len(values) + 1), "." if len(values) < 2 else ""
        axis.plot(epochs, values, color=shades[sector.sector - 1], linewidth=1.3, marker=marker, label=where)
    _plain(axis)


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def rendered(comparison: Comparison, results: Mapping[str, ArmResult]) -> dict[str, str]:
    """Return the files of a comparison by name.

    Parameters
    ----------
    comparison : Comparison
        From `lidcflow.experiment.comparison.compare_arms`.
    results : mapping of str to ArmResult
        The arms that are compared, by name.
    """
    return {PAGE: _page(comparison, results), DATA: _json(comparison), TABLE: _csv(comparison)}


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files of a comparison, together or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_together(files, folder)


def is_written(comparison: Comparison, folder: Path) -> bool:
    """Return whether exactly this comparison lies in its folder, with its page."""
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
    """Describe how far the seeds of a figure spread; one seed does not."""
    if len(seeds) < 2 or spread.seeds_low is None:
        return ""
    return f"seeds {spread.seeds_low:.3f} to {spread.seeds_high:.3f}"


def _environment() -> Environment:
    return templates_of(
        "lidcflow.experiment", filters={"percent": _percent, "figure": _figure, "signed": _signed, "seeds": _seeds}
    )
