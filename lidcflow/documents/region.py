"""The region of a finding on its source image, in the coordinates of DICOM's structured reports."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Finding
from lidcflow.report.recommendation import VolumeFacts

SQUARE = 0.01
"""Largest difference of an image's two spacings, as a share, at which a circle on the patient is one in pixels."""


def region_of(
    found: Finding, volume: VolumeFacts
) -> tuple[Literal["POLYLINE", "CIRCLE", "ELLIPSE"], NDArray[np.float64]]:
    """Return the outline of a finding, or of its diameter, as a graphic type and its points.

    Parameters
    ----------
    found : Finding
        The finding.
    volume : VolumeFacts
        Size and spacing of its source image.

    Returns
    -------
    str
        ``POLYLINE`` of an outline; without one ``CIRCLE``, or ``ELLIPSE`` where pixels are not square.
    (n, 2), (2, 2) or (4, 2) array
        (column, row) of each point, 0.5 at the centre of the first pixel: the corners, the last as the
        first; the centre and a point of the circumference, or the ends of the longer axis and those of the shorter one.

    References
    ----------
    DICOM PS3.3 C.18.6.1.1 and C.18.6.1.2, Graphic Data and Graphic Type.
    """
    if found.outline:
        return "POLYLINE", np.array(found.outline, np.float64)[:, ::-1] + 0.5
    centre = np.array([found.column + 0.5, found.row + 0.5])
    across = np.array([found.diameter_mm / 2 / volume.column_spacing_mm, 0.0])
    down = np.array([0.0, found.diameter_mm / 2 / volume.row_spacing_mm])
    if abs(volume.row_spacing_mm / volume.column_spacing_mm - 1) <= SQUARE:
        side = 1 if centre[0] + across[0] <= volume.columns else -1  # a point beyond the image is none of its pixels
        return "CIRCLE", np.stack([centre, centre + side * across])
    longer, shorter = (across, down) if across[0] > down[1] else (down, across)
    return "ELLIPSE", np.stack([centre - longer, centre + longer, centre - shorter, centre + shorter])
