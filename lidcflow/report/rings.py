"""Circles around findings, or their outlines, on pictures of slices: in mm from the upper left corner as shown."""

from __future__ import annotations

from dataclasses import dataclass

from lidcflow.dicom.orientation import is_transposed, usual_point
from lidcflow.nodules.finding import Finding
from lidcflow.report.outlines import on_slice
from lidcflow.report.recommendation import Recommendation, VolumeFacts

WIDER = 0.65
"""Radius of a circle over the diameter of its finding: it leaves the finding's edge free."""

LEAST_SHARE = 0.025
"""Least radius of a circle over the width of a picture: 9 mm on a usual field of view."""


@dataclass(frozen=True)
class Ring:
    """The circle of a finding, and the slices that the finding reaches into.

    Parameters
    ----------
    rank : int
        Of the finding.
    x_mm, y_mm, radius_mm : float
        On a picture, from its upper left corner.
    across, down : float
        The centre as shares of the width of a picture and of the height of the volume.
    outline_mm : tuple of (float, float)
        Corners of the outline that is drawn instead of the circle; none for a finding without one.
    slice_number, first_slice, last_slice : int
        The slice of its centre, and the first and the last one that it reaches into.
    """

    rank: int
    x_mm: float
    y_mm: float
    radius_mm: float
    across: float
    down: float
    slice_number: int
    first_slice: int
    last_slice: int
    outline_mm: tuple[tuple[float, float], ...] = ()

    @property
    def points(self) -> str:
        """The corners of the outline as SVG writes them."""
        return " ".join(f"{x_mm:.2f},{y_mm:.2f}" for x_mm, y_mm in self.outline_mm)


def size_mm(volume: VolumeFacts) -> tuple[float, float]:
    """Return height and width of a source image as it is shown."""
    height_mm, width_mm = volume.rows * volume.row_spacing_mm, volume.columns * volume.column_spacing_mm
    return (width_mm, height_mm) if volume.orientation and is_transposed(volume.orientation) else (height_mm, width_mm)


def rings_of(said: Recommendation, volume: VolumeFacts) -> tuple[Ring, ...]:
    """Return the circle of each finding, best first.

    Parameters
    ----------
    said : Recommendation
        With its slices.
    volume : VolumeFacts
        Its volume, for the size of source images and how they are stored.
    """
    return tuple(_ring(found, said, volume) for found in said.findings)


def rings_by_slice(rings: tuple[Ring, ...], slices: int) -> dict[int, list[Ring]]:
    """List the circles on each slice, by its number; of slices without one nothing."""
    found = {n: [ring for ring in rings if ring.first_slice <= n <= ring.last_slice] for n in range(1, slices + 1)}
    return {n: here for n, here in found.items() if here}


def _ring(found: Finding, said: Recommendation, volume: VolumeFacts) -> Ring:
    across, down = (found.column + 0.5) / volume.columns, (found.row + 0.5) / volume.rows
    if volume.orientation:
        across, down = usual_point(across, down, volume.orientation)
    height_mm, width_mm = size_mm(volume)
    first, last = _reach(found, said)
    return Ring(
        rank=found.rank,
        x_mm=across * width_mm,
        y_mm=down * height_mm,
        radius_mm=max(WIDER * found.diameter_mm, LEAST_SHARE * width_mm),
        across=across,
        down=(volume.z_top_mm - found.z_mm) / (volume.z_top_mm - volume.z_bottom_mm),
        slice_number=found.slice_number,
        first_slice=first,
        last_slice=last,
        outline_mm=tuple((round(x * width_mm, 2), round(y * height_mm, 2)) for x, y in on_slice(found, volume)),
    )


def _reach(found: Finding, said: Recommendation) -> tuple[int, int]:
    top_mm, bottom_mm = found.z_span_mm
    reached = [one.slice_number for one in said.slices if top_mm > one.z_bottom_mm and bottom_mm < one.z_top_mm]
    return min([*reached, found.slice_number]), max([*reached, found.slice_number])
