"""Measure the segmenter on a file of cubes with masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lidcflow.errors import LabelError
from lidcflow.nodules.cube_figures import CubeFigures, cube_figures
from lidcflow.nodules.cube_file import read_cube_file
from lidcflow.nodules.cube_scores import reader_outlines
from lidcflow.nodules.segmenter import Segmenter
from lidcflow.stats.estimate import Record


class CubeEvaluation(Record):
    """Figures of a segmenter on a file of cubes.

    Attributes
    ----------
    file : str
        Name of the file.
    segmenter_sha256 : str
        Digest of the segmenter's weights.
    trained_on_left_out : int
        Cubes of scans that the segmenter was trained on, which were not scored.
    figures : CubeFigures
    """

    file: str
    segmenter_sha256: str
    trained_on_left_out: int
    figures: CubeFigures


def evaluate_cubes(file: Path, segmenter: Segmenter, *, seed: int = 0) -> CubeEvaluation:
    """Score a file of cubes.

    Parameters
    ----------
    file : Path
        See `lidcflow.nodules.cube_file.read_cube_file`. Cubes that the segmenter was trained on, by its card, are left
        out, unless there are no others.
    segmenter : Segmenter
        What outlines them.
    seed : int
        Of the bootstrap.

    Raises
    ------
    LabelError
        If the file is not one of cubes, or no mask can be measured.
    """
    cubes = read_cube_file(file)
    trained_on = np.isin(cubes.name, list(segmenter.card.get("trained_on", ())))
    left_out = 0 if trained_on.all() else int(trained_on.sum())
    scored = cubes.part(~trained_on) if left_out else cubes
    if not any(reader_outlines(scored)):
        raise LabelError(
            f"cubes {file.name}: at least one mask must lie in the middle of its cube without reaching through it, got "
            f"none of {len(scored.name)}; docs/segmenter.md describes the format"
        )
    figures = cube_figures(segmenter, scored, seed=seed)
    return CubeEvaluation(
        file=file.name, segmenter_sha256=segmenter.sha256, trained_on_left_out=left_out, figures=figures
    )
