"""Points inside of an outline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def enclosed(pixels: NDArray[np.floating], outline: NDArray[np.integer] | None) -> NDArray[np.bool_]:
    """Return which points an outline encloses: from there to the right, it is crossed an odd number of times.

    Parameters
    ----------
    pixels : (n, 2) array
        Row and column of each point.
    outline : (k, 2) array, optional
        Row and column of its corners; None encloses nothing.

    Examples
    --------
    >>> square = np.array([(0, 0), (0, 4), (4, 4), (4, 0)])
    >>> enclosed(np.array([(2.0, 2.0), (2.0, 5.0)]), square)
    array([ True, False])
    """
    if outline is None:
        return np.zeros(len(pixels), bool)
    y, x = outline.T.astype(np.float64)
    y_next, x_next = np.roll(y, -1), np.roll(x, -1)
    down, across = pixels[:, :1], pixels[:, 1:]
    straddles = (y > down) != (y_next > down)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x + (down - y) / (y_next - y) * (x_next - x)
    return np.asarray((straddles & (across < crossing)).sum(axis=1) % 2 == 1)
