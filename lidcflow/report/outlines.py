"""Outlines of findings on pictures as they are shown."""

from __future__ import annotations

from collections.abc import Iterable

from lidcflow.dicom.orientation import usual_point
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.plane_width import plane_mm
from lidcflow.report.recommendation import Recommendation, VolumeFacts

Shares = tuple[tuple[float, float], ...]
"""Corners as shares of the width and of the height of a picture, from its upper left corner."""


def on_slice(found: Finding, volume: VolumeFacts) -> Shares:
    """Return the outline of a finding on the picture of its slice; no corners where it has none."""
    corners = ((column + 0.5, row + 0.5) for row, column in found.outline or ())
    return _turned(((across / volume.columns, down / volume.rows) for across, down in corners), volume)


def on_planes(said: Recommendation) -> dict[int, str]:
    """Return the outlines on the axial planes through findings by their ranks, as points of a picture of 1 by 1."""
    volume = said.volume
    return {} if volume is None else {one.rank: _points(_on_plane(one, volume)) for one in said.findings if one.outline}


def _on_plane(found: Finding, volume: VolumeFacts) -> Shares:
    side_mm = plane_mm(found)
    offsets_mm = (
        ((column - found.column) * volume.column_spacing_mm, (row - found.row) * volume.row_spacing_mm)
        for row, column in found.outline or ()
    )
    return _turned(((0.5 + right / side_mm, 0.5 + down / side_mm) for right, down in offsets_mm), volume)


def _turned(corners: Iterable[tuple[float, float]], volume: VolumeFacts) -> Shares:
    if volume.orientation is None:
        return tuple(corners)
    orientation = volume.orientation
    return tuple(usual_point(across, down, orientation) for across, down in corners)


def _points(corners: Shares) -> str:
    return " ".join(f"{across:.4f},{down:.4f}" for across, down in corners)
