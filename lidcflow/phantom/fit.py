"""Fit a chest to a scan, so that the nodules that were read there lie in its lungs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.anatomy import lung_distance
from lidcflow.phantom.chest import Chest, ChestFrame, random_frame
from lidcflow.phantom.lesions import Outline

FIRST_TRIES, NEAR_TRIES = 40, 30
WIDEST_BUMP_MM = 22.0
"""A nodule farther than this from the modelled lung stays where it is, in soft tissue."""


def fit_chest(rng: Generator, chest: Chest, outlines: Sequence[Outline], fov_mm: float, extent_mm: float) -> Chest:
    """Place a chest so that nodules lie in lung, then push the lung out to those that still do not.

    Parameters
    ----------
    rng : Generator
        Draws the frames to try.
    chest : Chest
        Build and tissues; its frame is the first try.
    outlines : sequence of Outline
        The nodules.
    fov_mm, extent_mm : float
        Width of the image, and height of the scan.
    """
    if not outlines:
        return chest
    spots = np.array([(*outline.centre_mm, outline.radius_mm) for outline in outlines])
    frames = [chest.frame, *(random_frame(rng, fov_mm, extent_mm) for _ in range(FIRST_TRIES))]
    best = min(frames, key=lambda frame: _misfit(replace(chest, frame=frame), spots))
    near = [best, *(_shifted(rng, best) for _ in range(NEAR_TRIES))]
    best = min(near, key=lambda frame: _misfit(replace(chest, frame=frame), spots))
    return _with_bumps(replace(chest, frame=best), spots)


def _shifted(rng: Generator, frame: ChestFrame) -> ChestFrame:
    x, y, apex, base = rng.normal(0, (4.0, 5.0, 5.0, 6.0))
    return replace(
        frame,
        x_mm=frame.x_mm + x,
        y_mm=frame.y_mm + y,
        apex_mm=max(1.0, frame.apex_mm + apex),
        base_mm=frame.base_mm + base,
        half_width_mm=float(np.clip(frame.half_width_mm * rng.normal(1, 0.03), 95, 185)),
        half_depth_mm=frame.half_depth_mm * float(rng.normal(1, 0.04)),
    )


def _misfit(chest: Chest, spots: NDArray[np.float64]) -> float:
    """Mean square of how far nodules lie outside of the lung, in mm2."""
    return float(np.mean(_missing_mm(chest, spots) ** 2))


def _missing_mm(chest: Chest, spots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift of the lung's edge that puts the middle of each nodule into it, with a part of its girth."""
    wanted = np.minimum(0.6 * spots[:, 3], 8.0) + 1.0
    return np.asarray(np.maximum(lung_distance(chest, *spots[:, :3].T) + wanted, 0.0))


def _with_bumps(chest: Chest, spots: NDArray[np.float64]) -> Chest:
    for spot in spots:
        missing = float(_missing_mm(chest, spot[None])[0])
        if 0.0 < missing < WIDEST_BUMP_MM:
            bump = np.array([*spot[:3], missing + 0.5, max(10.0, 1.2 * missing, 1.5 * spot[3])])
            chest = replace(chest, bumps=np.vstack([chest.bumps, bump]))
    return chest
