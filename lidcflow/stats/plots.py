"""Figures of a training that people look at: curves, confusion matrix, reliability, slice montage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lidcflow.stats.calibration import reliability

CLASSES = ("non-nodule", "benign", "malignant")
LUNG_WINDOW_HU = (-1350.0, 150.0)
"""Level -600, width 1500."""

TILE, ACROSS, DOWN = 1.8, 1.9, 2.3
"""Edge of a slice in a montage, and from one to the next across and down, with a caption of two lines; inches."""

NOTE = "research use only"
BLUE, ORANGE, GREY = "#2563a8", "#d9730d", "#8a8a8a"


class Comparable(Protocol):
    """A bin of a reliability diagram, as computed or as stored."""

    @property
    def called(self) -> float:
        """Mean probability of a nodule."""

    @property
    def there(self) -> float:
        """Share of slices with a nodule."""


@dataclass(frozen=True)
class Tile:
    """One slice of a montage: `(size, size)` HU values and what is written under them."""

    hu: NDArray[np.int16]
    caption: str


def curves(history: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw loss and accuracy against the epoch, for training and validation.

    Parameters
    ----------
    history : mapping
        ``loss``, ``val_loss``, ``accuracy`` and ``val_accuracy``, one value an epoch; those absent are left out.
    title : str
        Above the figure.
    """
    figure, axes = _canvas(title, columns=2)
    for axis, key in zip(axes, ("loss", "accuracy"), strict=True):
        for name, label, colour in ((key, "training", BLUE), (f"val_{key}", "validation", ORANGE)):
            if values := history.get(name):
                axis.plot(range(1, len(values) + 1), values, color=colour, label=label, marker="." * (len(values) < 2))
        axis.set(xlabel="epoch", ylabel=key)
        if axis.lines:
            axis.legend(frameon=False)
    return figure


def confusion_plot(matrix: NDArray[np.integer], title: str) -> Figure:
    """Draw a confusion matrix; shades are shares of the true class, numbers are slices.

    Parameters
    ----------
    matrix : (3, 3) array of integers
        Rows are true classes, columns predicted ones.
    title : str
        Above the figure.
    """
    figure, (axis,) = _canvas(title, columns=1)
    draw_confusion(axis, matrix)
    axis.set_xticks(range(3), CLASSES)
    axis.set_yticks(range(3), CLASSES)
    axis.set(xlabel="predicted", ylabel="true")
    return figure


def reliability_plot(p_nodule: NDArray[np.floating], labels: NDArray[np.integer], title: str) -> Figure:
    """Draw how often a nodule is there against how probable it was called.

    Parameters
    ----------
    p_nodule : (slices,) array
        Calibrated probability of a nodule.
    labels : (slices,) array
        0 non-nodule, 1 benign, 2 malignant.
    title : str
        Above the figure.

    Notes
    -----
    Bins hold equal numbers of slices, so that the few probable ones share no bin with the many improbable.
    """
    figure, (axis,) = _canvas(title, columns=1)
    bins = reliability(p_nodule, labels)
    draw_reliability(axis, bins)
    for one in bins:
        text, at = f"{one.slices:,}", (one.called, one.there)
        axis.annotate(text, at, xytext=(4, 4), textcoords="offset points", fontsize=7)
    axis.set(xlabel="probability of a nodule", ylabel="share with a nodule")
    return figure


def draw_confusion(axis: Axes, matrix: NDArray[np.integer], *, fontsize: float | None = None) -> None:
    """Draw a confusion matrix into axes: shades are shares of the true class, numbers are slices."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{count:,}\n{share[row, column]:.0%}"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=fontsize)


def draw_reliability(axis: Axes, bins: Sequence[Comparable]) -> None:
    """Draw into axes how often a nodule is there against how probable it was called, and the line of no error."""
    top = max([0.1, *(one.called for one in bins), *(one.there for one in bins)]) * 1.1
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axis.plot([one.called for one in bins], [one.there for one in bins], "o", color=BLUE, markersize=4)
    axis.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top))


def froc_plot(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Figure:
    """Draw FROC curves: the share of nodules found against the false marks a scan.

    Parameters
    ----------
    curves : mapping of str to sequence of two floats
        Points by the name of what scored, from `lidcflow.stats.froc.Froc.curve`.
    title : str
        Above the figure.
    """
    figure, (axis,) = _canvas(title, columns=1)
    for (name, points), colour in zip(curves.items(), (BLUE, ORANGE, GREY), strict=False):
        rate, sensitivity = np.array([(0.0, 0.0), *points]).T
        axis.step(rate, sensitivity, where="post", color=colour, label=name)
    axis.set(xlabel="false positives a scan", ylabel="nodules found", xlim=(0, 8), ylim=(0, 1))
    axis.legend(frameon=False)
    return figure


def montage(rows: Mapping[str, Sequence[Tile]], title: str) -> Figure:
    """Lay slices out in named rows, in the lung window.

    Parameters
    ----------
    rows : mapping of str to tiles
        Such as slices found, missed and falsely called; rows may differ in length or be empty.
    title : str
        Above the figure.
    """
    columns = max([len(tiles) for tiles in rows.values()] + [1])
    width, height = ACROSS * columns + 0.5, DOWN * len(rows) + 0.7
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    for number, (name, tiles) in enumerate(rows.items()):
        top = 0.4 + DOWN * number
        shown = name if tiles else f"{name}: none"
        axis.text(0.2, top + TILE / 2, shown, rotation=90, ha="center", va="center", fontsize=9)
        for position, tile in enumerate(tiles):
            _draw_tile(axis, tile, left=0.4 + ACROSS * position, top=top)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()
    _sign(figure, title)
    return figure


def example_rows(rows: pd.DataFrame, n: int) -> dict[str, pd.DataFrame]:
    """Choose the slices worth a look: nodules found, nodules missed, and others called nodules.

    Parameters
    ----------
    rows : DataFrame
        `TrainedSector.validation_rows`.
    n : int
        Most slices of a kind.
    """
    ranked = rows.sort_values("p_nodule", ascending=False, kind="stable")
    nodule, other = ranked[ranked["label"] > 0], ranked[ranked["label"] == 0]
    upper = -(-len(nodule) // 2)
    return {
        "nodules, most probable": nodule[:upper][:n],
        "nodules, least probable": nodule[upper:][::-1][:n],
        "no nodule, most probable": other[:n],
    }


def _draw_tile(axis: Axes, tile: Tile, *, left: float, top: float) -> None:
    """Draw a slice and its caption into axes that are measured in inches, downwards."""
    low, high = LUNG_WINDOW_HU
    place = (left, left + TILE, top + TILE, top)
    axis.imshow(tile.hu, extent=place, aspect="auto", cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
    axis.text(left + TILE / 2, top + TILE + 0.05, tile.caption, ha="center", va="top", fontsize=7)


def _canvas(title: str, columns: int) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure with axes between fixed margins, in inches: an automatic layout takes as long as the drawing."""
    width, height = 4.8 * columns, 4.2
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.subplots_adjust(
        left=1.0 / width, right=1 - 0.15 / width, bottom=0.7 / height, top=1 - 0.45 / height, wspace=0.25
    )
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    _sign(figure, title)
    return figure, axes


def _sign(figure: Figure, title: str) -> None:
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(NOTE, fontsize=7, color=GREY, x=0.99, ha="right")
