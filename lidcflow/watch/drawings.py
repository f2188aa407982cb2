"""Figures of a check for drift: each quantity then and now."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lidcflow.learn.figures import BLUE, GREY, ORANGE
from lidcflow.watch.record import QuantityDrift

MOST_BARS = 8
MOST_LETTERS = 18
HU_SHOWN = (-1040.0, 500.0)
"""Bones beyond are few voxels in a wide bin."""


def quantity(one: QuantityDrift) -> Figure:
    """Draw one quantity: bars for words, histograms of voxels, cumulative shares of any other number."""
    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    if one.support and isinstance(one.support[0], str):
        _bars(axis, one)
    elif one.key == "hu":
        _histograms(axis, one)
    else:
        _cumulated(axis, one)
    axis.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _bars(axis: Axes, one: QuantityDrift) -> None:
    then, now = np.array(one.reference.shares), np.array(one.now.shares)
    order = np.argsort(-(then + now), kind="stable")[:MOST_BARS]
    at = np.arange(len(order))
    axis.barh(at - 0.2, then[order], height=0.36, color=GREY, label="reference")
    axis.barh(at + 0.2, now[order], height=0.36, color=_colour(one), label="now")
    axis.set_yticks(at, [_short(str(one.support[index])) for index in order])
    axis.invert_yaxis()
    axis.set_xlabel("share of patients", fontsize=8)


def _histograms(axis: Axes, one: QuantityDrift) -> None:
    for group, colour, label in ((one.reference, GREY, "reference"), (one.now, _colour(one), "now")):
        axis.plot(one.support, group.shares, color=colour, label=label, linewidth=1.6)
    axis.set_xlim(*HU_SHOWN)
    axis.set_yscale("log")
    axis.set_xlabel("HU", fontsize=8)
    axis.set_ylabel("share of voxels", fontsize=8)


def _cumulated(axis: Axes, one: QuantityDrift) -> None:
    for group, colour, label in ((one.reference, GREY, "reference"), (one.now, _colour(one), "now")):
        if group.patients:
            at, reached = [one.support[0], *one.support], [0.0, *np.cumsum(group.shares)]
            axis.step(at, reached, where="post", color=colour, label=label, linewidth=1.6)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel(one.name, fontsize=8)
    axis.set_ylabel("share at or below", fontsize=8)


def _colour(one: QuantityDrift) -> str:
    return ORANGE if one.verdict == "drift" else BLUE


def _short(word: str) -> str:
    """Keep a header's text from being read as mathematics, and from filling the figure."""
    plain = word.replace("$", r"\$")
    return plain if len(plain) <= MOST_LETTERS else f"{plain[: MOST_LETTERS - 1]}…"
