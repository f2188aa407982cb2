"""Figures of an experiment: curves of each sector, and the configurations side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lidcflow.learn.arm import SectorCurves
from lidcflow.learn.comparison import Compared
from lidcflow.learn.figures import BLUE, GREY

CURVES = {"training": "", "validation": "val_", "test": "test_"}
OVERVIEW = {"balanced_accuracy": "balanced accuracy", "auroc_nodule": "AUROC, nodule", "log_loss": "log loss"}


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
