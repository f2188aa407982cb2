"""`lidcflow evaluate --cubes`: score a file of outlined nodules with the segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.output import NOTICE, print_json, print_line
from flows.cli.pretrain_segmenter import print_ways

if TYPE_CHECKING:
    from lidcflow.nodules.systems import FindingSystems

Cubes = Annotated[
    Path | None,
    typer.Option(
        "--cubes",
        metavar="FILE",
        help="Instead, score a file of outlined nodules with the segmenter of the release.",
    ),
]


def print_cubes(file: Path, systems: FindingSystems, as_json: bool) -> None:
    """Score the cubes of a file and print the figures."""
    found = lazy.evaluate_cubes(file, systems.segmenter or lazy.embedded_segmenter())
    if as_json:
        print_json({**found.model_dump(mode="json"), "notice": NOTICE})
        return
    print_ways(found.figures.model_dump())
    left_out = found.trained_on_left_out
    beside = f" {left_out} cubes that it was trained on were left out." if left_out else ""
    print_line(f"{found.file} by the segmenter {found.segmenter_sha256[:12]}.{beside} {NOTICE}")
