"""Measure an outline as radiologists do: its longest diameter, and the longest diameter perpendicular to that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ASIDE = 1e-6
"""Chords are taken this share of the long axis beside a corner: through the corner itself they have no one length."""


def axes_mm(contour_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return the long and the short axis of a closed polygon.

    Parameters
    ----------
    contour_mm : (k, 2) array of float64
        Its corners in order; the last is the first again.

    Returns
    -------
    tuple of 2 floats
        The longest distance of two corners, and the longest chord within the polygon that is perpendicular to it.

    References
    ----------
    Eisenhauer et al. 2009, New response evaluation criteria in solid tumours (RECIST 1.1); the short axis is the one
    of lymph nodes there, and of nodules in Bankier et al. 2017, Recommendations for measuring pulmonary nodules at CT.

    Examples
    --------
    >>> long_mm, short_mm = axes_mm(np.array([[0.0, 0.0], [1.5, 2.0], [0.0, 4.0], [-1.5, 2.0], [0.0, 0.0]]))
    >>> round(long_mm, 3), round(short_mm, 3)
    (4.0, 3.0)
    """
    apart = contour_mm[:, None] - contour_mm[None]
    squared = (apart**2).sum(axis=-1)
    i, j = np.unravel_index(int(squared.argmax()), squared.shape)
    long_axis = float(np.sqrt(squared[i, j]))
    if not long_axis:
        return 0.0, 0.0
    along = apart[i, j] / long_axis
    turned = contour_mm @ np.array([[along[0], -along[1]], [along[1], along[0]]])
    return round(long_axis, 6), round(_longest_chord(turned, long_axis * _ASIDE), 6)


def _longest_chord(turned: NDArray[np.float64], aside: float) -> float:
    """Return the longest chord across the first coordinate: its length changes evenly from corner to corner."""
    at = np.unique(turned[:, 0])
    return max(_chord(turned, x) for x in (*(at - aside), *(at + aside)))


def _chord(turned: NDArray[np.float64], x: float) -> float:
    """Return the longest piece of the line at `x` that is within the polygon."""
    (x0, y0), (x1, y1) = turned[:-1].T, turned[1:].T
    crossed = (x0 < x) != (x1 < x)
    share = (x - x0[crossed]) / (x1 - x0)[crossed]
    y = np.sort(y0[crossed] + share * (y1 - y0)[crossed])
    return float(np.max(y[1::2] - y[::2], initial=0.0))
