"""Set aside the slice that fits nothing while the rest of the series is whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import series_refusal
from lidcflow.headers.header import Header
from lidcflow.series.stacks import EVEN_WITHIN, is_even, is_whole, steps_of

FAR_STEPS = 5
"""Median distances from the rest from which a slice at an end is no part of it: LIDC-IDRI-0514 has one 19 away."""

ON_LINE_PIXELS = 0.5
MOST_PAIRS_OF = 400
"""Slices whose pairs decide on the line; of more, every second or third one does."""


def are_strays(few: int, of: int) -> bool:
    """Return whether a few images are strays: at most three, or a tenth, and fewer than the rest."""
    return few <= max(3, of // 10) and 2 * few < of


def without_stray(z_mm: NDArray[np.float64]) -> list[int]:
    """Leave out a slice far beyond an end, or one between two slices that are a step apart.

    Parameters
    ----------
    z_mm : (slices,) array
        Positions along the normal, descending.

    Returns
    -------
    list of int
        Indices of the slices that are kept; all of them where none fits nothing, or the rest is not whole.
    """
    every = np.arange(len(z_mm))
    stray = _stray(z_mm)
    if stray is None:
        return [int(i) for i in every]
    return [int(i) for i in np.delete(every, stray)]


def _stray(z_mm: NDArray[np.float64]) -> int | None:
    steps_mm = -np.diff(z_mm)
    if len(steps_mm) < 3 or is_even(z_mm):
        return None
    median_mm = float(np.median(steps_of(z_mm))) if len(steps_of(z_mm)) else 0.0
    for end, step_mm in ((0, steps_mm[0]), (len(z_mm) - 1, steps_mm[-1])):
        if step_mm > FAR_STEPS * median_mm and is_whole(np.delete(z_mm, end)):
            return end
    short = steps_mm < (1 - EVEN_WITHIN) * median_mm
    between = short[:-1] & short[1:] & (np.abs(steps_mm[:-1] + steps_mm[1:] - median_mm) <= EVEN_WITHIN * median_mm)
    places = np.flatnonzero(between) + 1
    return int(places[0]) if len(places) == 1 and is_even(np.delete(z_mm, places[0])) else None


def on_one_line(headers: Sequence[Header], normal: NDArray[np.float64]) -> list[Header]:
    """Set aside a few slices to the side of the others; refuse when it is more, or the rest has a gap.

    The first pixels of the slices lie on one line, which leans where the gantry is tilted.

    Parameters
    ----------
    headers : sequence of Header
        Slices of one geometry.
    normal : (3,) array
        Unit normal, towards the head.

    Raises
    ------
    SeriesRefused
        If slices lie more than half a pixel to the side.
    """
    positions_mm = np.array([header.position_mm for header in headers])
    z_mm = positions_mm @ normal
    aside_pixels, aside_mm = _aside(headers[0], positions_mm, z_mm)
    off = aside_pixels > ON_LINE_PIXELS
    if not off.any():
        return list(headers)
    if are_strays(int(off.sum()), len(headers)) and is_whole(-np.sort(-z_mm[~off])):
        return [header for header, is_off in zip(headers, off, strict=True) if not is_off]
    first = max(np.flatnonzero(off).tolist(), key=lambda i: z_mm[i])
    sentence = (
        "ImagePositionPatient must move along one line from slice to slice, within half a pixel, "
        f"got {off.sum()} of {len(headers)} slices up to {aside_mm.max():.1f} mm to the side of the others, the first "
        f"at z = {z_mm[first]:.2f} mm, {aside_mm[first]:.1f} mm to the side, in instance "
        f"{headers[first].sop_instance_uid}; separate what was reconstructed apart at the source"
    )
    raise series_refusal(headers, VerdictReason.MIXED_GEOMETRY, sentence)


def _aside(
    header: Header, positions_mm: NDArray[np.float64], z_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each slice lies from the line of the others: in pixels, and in mm."""
    row_mm, column_mm = header.facts.spacing_mm or (1.0, 1.0)
    axes = np.asarray(header.facts.orientation).reshape(2, 3)
    in_plane_mm = (positions_mm - positions_mm[0]) @ axes.T
    pixels_mm = np.array([column_mm, row_mm])
    if (np.ptp(in_plane_mm, axis=0) <= ON_LINE_PIXELS * pixels_mm).all():
        return np.zeros(len(z_mm)), np.zeros(len(z_mm))
    straight, leaning = in_plane_mm - np.median(in_plane_mm, axis=0), _without_lean(in_plane_mm, z_mm)
    off_mm = min(straight, leaning, key=lambda mm: int((np.abs(mm) > ON_LINE_PIXELS * pixels_mm).any(axis=1).sum()))
    return np.abs(off_mm / pixels_mm).max(axis=1), np.linalg.norm(off_mm, axis=1)


def lean_of_line_deg(positions_mm: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Return the angle between the normal and the line on which the first pixels lie, in degrees.

    Parameters
    ----------
    positions_mm : (slices, 3) array
        Image Position (Patient), in any order.
    normal : (3,) array
        Unit normal.
    """
    z_mm = positions_mm @ normal
    slope = _slope(positions_mm - z_mm[:, None] * normal, z_mm)
    return math.degrees(math.atan(float(np.linalg.norm(slope))))


def _without_lean(in_plane_mm: NDArray[np.float64], z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    along = in_plane_mm - z_mm[:, None] * _slope(in_plane_mm, z_mm)
    off_mm: NDArray[np.float64] = along - np.median(along, axis=0)
    return off_mm


def _slope(in_plane_mm: NDArray[np.float64], z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope of the line that most pairs of slices agree on (Theil and Sen): strays do not move it."""
    every = np.arange(len(z_mm))[:: -(-len(z_mm) // MOST_PAIRS_OF)]
    first, second = np.triu_indices(len(every), 1)
    way_mm = z_mm[every][second] - z_mm[every][first]
    apart = np.abs(way_mm) > 0
    slopes = (in_plane_mm[every][second] - in_plane_mm[every][first])[apart] / way_mm[apart, None]
    slope: NDArray[np.float64] = np.median(slopes, axis=0) if len(slopes) else np.zeros(in_plane_mm.shape[1])
    return slope
