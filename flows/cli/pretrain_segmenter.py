"""`lidcflow pretrain --segmenter`: train the segmenter, and print its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from flows.cli import lazy
from flows.cli.bars import reported_stages, shown_progress
from flows.cli.output import NOTICE, print_json, print_line, print_table
from lidcflow.learn.backend import require_backend


def pretrain_segmenter(out: Path, data: Path | None, steps: int | None, seed: int, as_json: bool) -> None:
    """Train the segmenter on the cubes of a folder, write it to `out` and print its figures."""
    if data is None:
        raise typer.BadParameter("--segmenter needs --data, the folder with nodule-cubes; see docs/segmenter.md")
    require_backend()
    lazy.require_cubes(data)
    settings = lazy.SegmenterTraining(seed=seed, **({} if steps is None else {"steps": steps}))
    with shown_progress("reading the cubes and starting Keras"), reported_stages() as report:
        made = lazy.pretrain_segmenter(data, out, settings, on_progress=report)
    if as_json:
        print_json({**asdict(made), "folder": str(made.folder), "notice": NOTICE})
        return
    print_line(f"{made.folder} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}.")
    print_ways(made.card["kept_apart"])
    print_line(NOTICE)


def print_ways(figures: Mapping[str, Any]) -> None:
    """Print the figures of the segmenter beside those of simpler ways.

    Parameters
    ----------
    figures : mapping
        A dumped `lidcflow.nodules.cube_figures.CubeFigures`.
    """
    ways = {name: lazy.OutlineFigures.model_validate(one) for name, one in figures["ways"].items()}
    rows = [
        ("Dice, mean", *(one.dice for one in ways.values())),
        ("error of the long axis, median, mm", *(one.long_axis_error_mm for one in ways.values())),
        ("long axis within 2 mm", *(one.within_2_mm for one in ways.values())),
        ("volume by the reader's, median", *(one.volume_ratio for one in ways.values())),
        ("without an outline", *(one.without_outline for one in ways.values())),
    ]
    title = f"{figures['cubes']} cubes of {figures['scans']} scans, 95% intervals over scans"
    print_table(title, ("figure", *ways), rows)
    if left_out := figures["masks_left_out"]:
        print_line(
            f"Left out, as the mask is empty, reaches through the cube or is not in its middle: {', '.join(left_out)}."
        )
