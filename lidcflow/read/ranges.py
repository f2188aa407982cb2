"""Join neighbouring slices into ranges: one rule for what is recommended and for what is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ranges_above(p_nodule: NDArray[np.floating], threshold: float) -> list[range]:
    """Join neighbours at or above a threshold.

    Parameters
    ----------
    p_nodule : (slices,) array
        Probability of a nodule, top of the chest first.
    threshold : float
        From which a slice is in a range.

    Returns
    -------
    list of range
        Slices from 0, top first.

    Examples
    --------
    >>> ranges_above(np.array([0.9, 0.8, 0.1, 0.7]), 0.7)
    [range(0, 2), range(3, 4)]
    """
    above = np.concatenate(([False], np.asarray(p_nodule) >= threshold, [False]))
    ends = np.flatnonzero(above[1:] != above[:-1])
    return [range(first, stop) for first, stop in ends.reshape(-1, 2).tolist()]
