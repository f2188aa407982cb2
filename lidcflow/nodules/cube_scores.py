"""Score outlines of cubes against a reader's mask: the segmenter's, and those of simpler ways beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.cube_file import VOXEL_MM, CubeFile, around_nodule
from lidcflow.nodules.cubes import CUBE_MM, WIDE_FROM_MM
from lidcflow.nodules.outline import INSIDE, Outline, outline_of
from lidcflow.nodules.segmenter import SIDE, Segmenter, resampled

THRESHOLDS_HU = tuple(range(-700, 1, 100))
"""Densities that are tried as the threshold."""


@dataclass(frozen=True)
class CubeScores:
    """Agreement of the outlines of some cubes with the reader's.

    Attributes
    ----------
    dice : (n,) array
        Twice the common volume by the sum of both; 0 where there is no outline.
    long_axis_error_mm : (n,) array
        Absolute; the whole axis where there is no outline.
    volume_ratio : (n,) array
        By the reader's volume; 0 where there is no outline.
    outlined : (n,) array of bool
        Where there is an outline.
    """

    dice: NDArray[np.float64]
    long_axis_error_mm: NDArray[np.float64]
    volume_ratio: NDArray[np.float64]
    outlined: NDArray[np.bool_]


def reader_outlines(cubes: CubeFile) -> list[Outline | None]:
    """Return the outline of each mask: None where it is empty, reaches through the cube or is not in its middle."""
    return [outline_of(around_nodule(mask).astype(np.float32), VOXEL_MM) for mask in cubes.mask]


def segmenter_scores(segmenter: Segmenter, cubes: CubeFile, truth: list[Outline]) -> CubeScores:
    """Score the segmenter's outlines, of cubes brought to the pitch at which those of candidates are stored.

    Parameters
    ----------
    segmenter : Segmenter
    cubes : CubeFile
    truth : list of Outline
        Of their masks.
    """
    return _scores((_as_stored(segmenter, hu) for hu in cubes.hu()), cubes, truth)


def _as_stored(segmenter: Segmenter, hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return P(inside) of a cube's voxels, read at the pitch at which a candidate as large is stored."""
    look = segmenter.probabilities(hu[None], [VOXEL_MM])[0]
    diameter_mm = (6 * (look >= INSIDE).sum() / np.pi) ** (1 / 3) * VOXEL_MM
    voxel_mm = CUBE_MM[0] if diameter_mm < WIDE_FROM_MM else CUBE_MM[1]
    stored = np.rint(resampled(hu.astype(np.float32), voxel_mm / VOXEL_MM, SIDE)).astype(np.int16)
    return resampled(segmenter.probabilities(stored[None], [voxel_mm])[0], VOXEL_MM / voxel_mm, SIDE)


def threshold_scores(cubes: CubeFile, truth: list[Outline]) -> tuple[int, CubeScores]:
    """Score the connected part above a threshold: that of `THRESHOLDS_HU` with the best mean Dice on these cubes."""
    tried = {
        level: _scores(((hu >= level).astype(np.float32) for hu in cubes.hu()), cubes, truth) for level in THRESHOLDS_HU
    }
    best = max(tried, key=lambda level: float(tried[level].dice.mean()))
    return best, tried[best]


def sphere_scores(cubes: CubeFile, truth: list[Outline]) -> CubeScores:
    """Score spheres of the reader's volume in the middle of the cubes."""
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    away_mm = VOXEL_MM * np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    radii_mm = [(3 * one.volume_mm3 / (4 * np.pi)) ** (1 / 3) for one in truth]
    return _scores(((away_mm <= radius_mm).astype(np.float32) for radius_mm in radii_mm), cubes, truth)


def _scores(probabilities: Iterator[NDArray[np.float32]], cubes: CubeFile, truth: list[Outline]) -> CubeScores:
    rows = [
        _score(outline_of(probability, VOXEL_MM), mask, one)
        for probability, mask, one in zip(probabilities, cubes.mask, truth, strict=True)
    ]
    dice, error_mm, ratio, outlined = (np.array(column) for column in zip(*rows, strict=True))
    return CubeScores(dice, error_mm, ratio, outlined)


def _score(found: Outline | None, mask: NDArray[np.bool_], truth: Outline) -> tuple[float, float, float, bool]:
    if found is None:
        return 0.0, truth.long_axis_mm, 0.0, False
    common, size = int((found.mask & around_nodule(mask)).sum()), int(mask.sum())
    return (
        2 * common / (int(found.mask.sum()) + size),
        abs(found.long_axis_mm - truth.long_axis_mm),
        found.volume_mm3 / (size * VOXEL_MM**3),
        True,
    )
