"""The page of a drift check, its figures, its table and its JSON: self-contained files that open without a network."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lidcflow.drift.record import DATA, DriftCheck, QuantityDrift
from lidcflow.drift.tables import COLUMNS, alarms_first, drift_rows
from lidcflow.evaluate.plots import as_svg
from lidcflow.files import write_together
from lidcflow.stats.plots import BLUE, GREY, ORANGE
from lidcflow.templates import templates_of

MOST_BARS = 8
MOST_LETTERS = 18
HU_SHOWN = (-1040.0, 500.0)
"""Bones beyond are few voxels in a wide bin."""


PAGE = "report.html"


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


def write_drift(check: DriftCheck, folder: Path) -> Path:
    """Write ``drift.json`` and ``report.html``, each whole or not at all, and return the page's path.

    Parameters
    ----------
    check : DriftCheck
        What to say.
    folder : Path
        Made if need be; files of an earlier check are replaced.
    """
    texts = {PAGE: render_drift(check), DATA: check.model_dump_json(indent=2) + "\n"}
    folder.mkdir(parents=True, exist_ok=True)
    write_together(texts, folder)
    return folder / PAGE


def render_drift(check: DriftCheck) -> str:
    """Return the page of a check as HTML, figures inside it."""
    template = templates_of("lidcflow.drift", "lidcflow.evaluate").get_template("drift.html")
    return template.render(
        check=check,
        columns=COLUMNS,
        rows=drift_rows(check),
        figures=[(one, _inline(one)) for one in alarms_first(check) if one.now.patients],
    )


def _inline(one: QuantityDrift) -> str:
    return f"data:image/svg+xml;base64,{b64encode(as_svg(quantity(one))).decode('ascii')}"
