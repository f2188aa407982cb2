"""Figures of an evaluation: curves, reliability and confusion, of the whole and of each sector."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lidcflow.evaluate.record import Bin, Contestant, ReleaseEvaluation, SectorFigures, SliceFigures
from lidcflow.evaluate.review import REVIEWED
from lidcflow.stats.estimate import Estimate, FindingFigures
from lidcflow.stats.froc import FALSE_MARKS, froc_key
from lidcflow.stats.plots import BLUE, CLASSES, GREY, ORANGE, draw_confusion, draw_reliability

COLOURS = {
    "release": BLUE,
    "sector_models": "#7fb2e5",
    "findings": "#c0504d",
    "global": ORANGE,
    "sector_prior": "#5b8c3e",
    "height_prior": "#1a8f8a",
    "uniform": "#9254a8",
    "random": GREY,
    "size_oracle": "#444444",
}
MOST_SECTORS = 13
COLUMNS = 5
SVG_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "lidcflow", "svg.fonttype": "path"}
SHORT = ("none", "benign", "malig.")


def froc_curves(evaluation: ReleaseEvaluation) -> Figure:
    """Draw nodule sensitivity against false ranges a study, with intervals of the release."""
    figure, axis = _canvas("nodules found by the peak of a range")
    for one in evaluation.contestants:
        if one.curve:
            inside = [(max(rate, FALSE_MARKS[0] / 2), reached) for rate, reached in one.curve]
            rates, reached = zip(*inside, strict=True)
            axis.step([*rates, FALSE_MARKS[-1]], [*reached, reached[-1]], where="post", **_style(one))
    _bars(axis, list(FALSE_MARKS), [evaluation.own.nodules[froc_key(rate)] for rate in FALSE_MARKS])
    _false_marks(axis)
    axis.set(xlabel="false ranges a study", ylabel="nodule sensitivity")
    if evaluation.own.curve:
        axis.legend(frameon=False, fontsize=8)
    return figure


def finding_curve(found: FindingFigures) -> Figure:
    """Draw the share of nodules that findings find against false findings a scan, with intervals."""
    figure, axis = _canvas("nodules found by findings")
    if found.curve:
        inside = [(max(rate, FALSE_MARKS[0] / 2), reached) for rate, reached in found.curve]
        rates, reached = zip(*inside, strict=True)
        axis.step([*rates, FALSE_MARKS[-1]], [*reached, reached[-1]], where="post", color=BLUE)
    _bars(axis, list(FALSE_MARKS), [found.figures[froc_key(rate)] for rate in FALSE_MARKS])
    _false_marks(axis)
    axis.set(xlabel="false findings a scan", ylabel="nodule sensitivity")
    return figure


def _false_marks(axis: Axes) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(FALSE_MARKS, [froc_key(rate).removeprefix("froc_at_") for rate in FALSE_MARKS])
    axis.set(xlim=(FALSE_MARKS[0] / 1.3, FALSE_MARKS[-1] * 1.1), ylim=(0, 1.03))


def review_curves(evaluation: ReleaseEvaluation) -> Figure:
    """Draw nodule sensitivity against the slices reviewed of a study, with intervals of the release."""
    figure, axis = _canvas("nodules seen in the first N slices")
    reviewed = [n for n in REVIEWED if f"sensitivity_at_{n}" in evaluation.own.nodules]
    for one in evaluation.contestants:
        values = [one.nodules[f"sensitivity_at_{n}"].value for n in reviewed]
        axis.plot(reviewed, [np.nan if value is None else value for value in values], marker=".", **_style(one))
    _bars(axis, list(reviewed), [evaluation.own.nodules[f"sensitivity_at_{n}"] for n in reviewed])
    axis.set_xscale("log")
    axis.set_xticks(reviewed, list(map(str, reviewed)), minor=False)
    axis.minorticks_off()
    axis.set(ylim=(0, 1.03), xlabel=f"slices reviewed of {evaluation.slices_per_study}", ylabel="nodule sensitivity")
    axis.legend(frameon=False, fontsize=8)
    return figure


def release_reliability(bins: Sequence[Bin]) -> Figure:
    """Draw how often a nodule is there against how probable it was called."""
    figure, axis = _canvas("reliability of P(nodule)")
    draw_reliability(axis, bins)
    axis.set(xlabel="probability of a nodule", ylabel="share with a nodule")
    return figure


def release_confusion(figures: SliceFigures) -> Figure:
    """Draw the confusion matrix; shades are shares of the true class, numbers are slices."""
    figure, axis = _canvas("confusion, slices")
    draw_confusion(axis, np.array(figures.confusion), fontsize=10)
    axis.set_xticks(range(3), CLASSES)
    axis.set_yticks(range(3), CLASSES)
    axis.set(xlabel="most probable class", ylabel="true class")
    return figure


def sector_auroc(sectors: Sequence[SectorFigures]) -> Figure:
    """Draw the slice AUROC of each sector, top of the chest first, with intervals."""
    figure, axis = _canvas(
        "slice AUROC, nodule or not, by sector", width=9.0, height=max(2.4, 0.26 * len(sectors) + 1.3)
    )
    for key, colour, name, shift in (("natural", BLUE, "natural", -0.12), ("balanced", ORANGE, "class-balanced", 0.12)):
        for one in sectors:
            found: Estimate = getattr(one.slices, key)["auroc_nodule"]
            if found.value is not None and found.low is not None and found.high is not None:
                axis.plot([found.low, found.high], [one.sector + shift] * 2, color=colour, linewidth=1.5)
            if found.value is not None:
                axis.plot([found.value], [one.sector + shift], "o", color=colour, markersize=5)
        axis.plot([], [], "o-", color=colour, label=name)
    axis.axvline(0.5, color=GREY, linewidth=1, linestyle="--")
    axis.set(xlim=(-0.02, 1.02), ylim=(len(sectors) + 0.6, 0.4), xlabel="AUROC", ylabel="sector")
    axis.set_yticks([one.sector for one in sectors])
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def sector_reliability(sectors: Sequence[SectorFigures]) -> Figure:
    """Draw the reliability of each of the first `MOST_SECTORS` sectors."""
    figure, axes = _grid(sectors)
    for axis, one in zip(axes, sectors[:MOST_SECTORS], strict=True):
        draw_reliability(axis, one.slices.reliability)
        axis.set_title(f"sector {one.sector}", fontsize=9)
    figure.supxlabel("probability of a nodule", fontsize=9)
    figure.supylabel("share with a nodule", fontsize=9)
    return figure


def sector_confusion(sectors: Sequence[SectorFigures]) -> Figure:
    """Draw the confusion matrix of each of the first `MOST_SECTORS` sectors."""
    figure, axes = _grid(sectors)
    for axis, one in zip(axes, sectors[:MOST_SECTORS], strict=True):
        draw_confusion(axis, np.array(one.slices.confusion), fontsize=7)
        axis.set_xticks(range(3), SHORT, fontsize=7)
        axis.set_yticks(range(3), SHORT, fontsize=7)
        axis.set_title(f"sector {one.sector}", fontsize=9)
    figure.supxlabel("most probable class", fontsize=9)
    figure.supylabel("true class", fontsize=9)
    return figure


def _style(one: Contestant) -> dict[str, Any]:
    own = one.key == "release"
    dotted = ":" if one.key in ("size_oracle", "random") else "-"
    return {"color": COLOURS[one.key], "label": one.title, "linewidth": 2.4 if own else 1.3, "linestyle": dotted}


def _bars(axis: Axes, at: Sequence[float], estimates: Sequence[Estimate]) -> None:
    for x, one in zip(at, estimates, strict=True):
        if one.low is not None and one.high is not None:
            axis.plot([x, x], [one.low, one.high], color=BLUE, linewidth=1, alpha=0.7)


def _canvas(title: str, *, width: float = 5.4, height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(title, fontsize=11)
    return figure, axis


def _grid(sectors: Sequence[SectorFigures]) -> tuple[Figure, list[Axes]]:
    shown = min(len(sectors), MOST_SECTORS)
    columns = min(shown, COLUMNS)
    rows = -(-shown // columns)
    figure = Figure(figsize=(2.3 * columns + 0.4, 2.2 * rows + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes:
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[shown:]:
        axis.set_visible(False)
    return figure, axes[:shown]


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG: the same figure, the same bytes."""
    stream = BytesIO()
    with mpl.rc_context(SVG_SETTINGS):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
