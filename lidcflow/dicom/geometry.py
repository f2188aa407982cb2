"""Positions of the slices of a series in the patient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AXIAL_WITHIN_DEG = 5.0
SHEAR_WITHIN_DEG = 1.0
"""A stack that leans more than this against its own normal was acquired with a tilted gantry."""

COSINES_WITHIN = 1e-3
"""Tolerance of direction cosines from unit length and from a right angle: headers round them."""


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Compute the unit normal of a slice, towards the head.

    Parameters
    ----------
    orientation : sequence of 6 floats
        Image Orientation (Patient): direction cosines of a row, then of a column.

    Returns
    -------
    (3,) array

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1; patient coordinates, so +z is the head whichever way the patient entered.

    Examples
    --------
    >>> normal_of([1, 0, 0, 0, 1, 0])
    array([0., 0., 1.])
    """
    row, column = np.asarray(orientation, np.float64).reshape(2, 3)
    normal = np.cross(row, column)
    normal /= math.sqrt(normal @ normal)
    return -normal if normal[2] < 0 else normal


def are_directions(a: float, b: float, c: float, d: float, e: float, f: float) -> bool:
    """Return whether the six direction cosines are two vectors of unit length at a right angle."""
    off_length = max(abs(a * a + b * b + c * c - 1), abs(d * d + e * e + f * f - 1))
    return off_length <= 2 * COSINES_WITHIN and abs(a * d + b * e + c * f) <= COSINES_WITHIN


def angle_to_axis_deg(normal: NDArray[np.float64]) -> float:
    """Compute the angle between a normal and the patient's long axis, in degrees."""
    return math.degrees(math.acos(min(1.0, abs(float(normal[2])))))


def shear_deg(positions_mm: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Compute the angle between the way from the first to the last slice and the normal.

    Parameters
    ----------
    positions_mm : (slices, 3) array
        Image Position (Patient), in any order.
    normal : (3,) array
        Unit normal.
    """
    along = positions_mm @ normal
    way = positions_mm[along.argmax()] - positions_mm[along.argmin()]
    across = way - (way @ normal) * normal
    return math.degrees(math.atan2(float(np.linalg.norm(across)), float(way @ normal)))
