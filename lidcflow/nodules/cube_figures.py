"""Figures of the segmenter on cubes, with those of simpler ways beside it."""

from __future__ import annotations

import numpy as np

from lidcflow.nodules.cube_file import CubeFile
from lidcflow.nodules.cube_scores import CubeScores, reader_outlines, segmenter_scores, sphere_scores, threshold_scores
from lidcflow.nodules.segmenter import Segmenter
from lidcflow.stats.cube_figures import OutlineFigures, outline_figures
from lidcflow.stats.estimate import Record

SEGMENTER = "segmenter"


class CubeFigures(Record):
    """Figures of the segmenter and simpler methods on cubes.

    Attributes
    ----------
    cubes, scans : int
        Cubes that were scored, and the scans that they are from.
    masks_left_out : tuple of str
        Names of cubes that were not: their mask is empty, reaches through the cube or is not in its middle.
    ways : dict of str to OutlineFigures
        ``segmenter``; ``threshold <HU>``, the connected part above the threshold that is best on these very cubes; and
        ``sphere of the reader's volume``. The last two know what an answer doesn't.
    """

    cubes: int
    scans: int
    masks_left_out: tuple[str, ...]
    ways: dict[str, OutlineFigures]


def cube_figures(segmenter: Segmenter, cubes: CubeFile, *, seed: int = 0) -> CubeFigures:
    """Score the segmenter, a threshold and a sphere on cubes.

    Parameters
    ----------
    segmenter : Segmenter
    cubes : CubeFile
        At least one must have a mask that can be measured.
    seed : int
        Of the bootstrap.
    """
    outlines = reader_outlines(cubes)
    usable = np.array([one is not None for one in outlines])
    scored, truth = cubes.part(usable), [one for one in outlines if one is not None]
    level, of_threshold = threshold_scores(scored, truth)
    ways = {
        SEGMENTER: segmenter_scores(segmenter, scored, truth),
        f"threshold {level} HU": of_threshold,
        "sphere of the reader's volume": sphere_scores(scored, truth),
    }
    return CubeFigures(
        cubes=len(truth),
        scans=len(np.unique(scored.scan)),
        masks_left_out=tuple(cubes.name[~usable].tolist()),
        ways={name: _figures(scores, scored, seed) for name, scores in ways.items()},
    )


def _figures(scores: CubeScores, cubes: CubeFile, seed: int) -> OutlineFigures:
    return outline_figures(
        scores.dice, scores.long_axis_error_mm, scores.volume_ratio, scores.outlined, cubes.scan, seed=seed
    )
