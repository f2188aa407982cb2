"""Find even stacks, gaps, and interleaved stacks from the positions of slices."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_GAP = 1.5
"""Largest distance of neighbouring slices, in distances of the slices around them."""

AROUND = 6
"""Distances on either side that a distance is compared with."""

FINE_SHARE = 0.25
"""Share of the neighbouring distances that must be shorter for a finer spacing: a few short ones do not make one."""

EVEN_WITHIN = 0.1
"""Spread of distances, in median distances, up to which spacing counts as even."""

EVEN_SHARE = 0.8
"""Share of the distances between slices that must be equal in a stack of its own: some slices may be missing."""

LEAST_OF_A_STACK = 4
"""Fewer slices are strays, not a pass of the scanner."""

LEAST_BETWEEN = 2
"""Slices between those of another stack that show that two passes are interleaved."""

SAME_POSITION_MM = 1e-3

Labels = Sequence[Hashable]


def steps_of(z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of neighbouring positions; slices at one position count once.

    Parameters
    ----------
    z_mm : (slices,) array
        Positions along the normal, descending.
    """
    steps_mm: NDArray[np.float64] = -np.diff(z_mm)
    return steps_mm[steps_mm > SAME_POSITION_MM]


def are_gaps(steps_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which distances are gaps: too wide for the median, or for the slices around them.

    Where every third slice is missing, the median lies between the distance of the slices and the gaps.

    Parameters
    ----------
    steps_mm : (steps,) array
        Distances of neighbouring slices.

    Returns
    -------
    (steps,) array of bool

    Examples
    --------
    >>> are_gaps(np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0])).tolist()
    [False, True, False, True, False, True, False]
    """
    if not len(steps_mm):
        return np.zeros(0, np.bool_)
    width = min(2 * AROUND + 1, len(steps_mm))
    windows = np.lib.stride_tricks.sliding_window_view(steps_mm, width)
    finer = np.sort(windows, axis=1)[:, int(FINE_SHARE * (width - 1))]
    around = finer[np.clip(np.arange(len(steps_mm)) - AROUND, 0, len(finer) - 1)]
    gaps: NDArray[np.bool_] = steps_mm > MAX_GAP * np.minimum(around, np.median(steps_mm))
    return gaps


def is_whole(z_mm: NDArray[np.float64]) -> bool:
    """Return whether positions, descending, leave no gap."""
    return not are_gaps(steps_of(z_mm)).any()


def is_stack(z_mm: NDArray[np.float64]) -> bool:
    """Return whether positions, descending, are those of a stack of its own: several, nearly all evenly spaced."""
    steps_mm = steps_of(z_mm)
    if len(steps_mm) < LEAST_OF_A_STACK - 1:
        return False
    even = np.abs(steps_mm - np.median(steps_mm)) <= EVEN_WITHIN * np.median(steps_mm)
    return bool(even.mean() >= EVEN_SHARE)


def is_even(z_mm: NDArray[np.float64]) -> bool:
    """Return whether positions, descending, are evenly spaced."""
    steps_mm = steps_of(z_mm)
    return len(steps_mm) == 0 or bool(np.ptp(steps_mm) <= EVEN_WITHIN * np.median(steps_mm))


def codes_of(labels: Labels) -> NDArray[np.intp]:
    """Number labels in the order in which they first occur; None is -1."""
    numbers: dict[Hashable, int] = {}
    return np.array([-1 if one is None else numbers.setdefault(one, len(numbers)) for one in labels], np.intp)


def runs_of(codes: NDArray[np.intp]) -> int:
    """Count the runs of equal labels."""
    return int(np.count_nonzero(np.diff(codes))) + 1 if len(codes) else 0


def lie_in_each_other(
    z_mm: NDArray[np.float64], codes: NDArray[np.intp], *, stated: bool = True
) -> NDArray[np.bool_] | None:
    """Find the slices of stacks that lie in each other, or overlap.

    Labels alone do not make stacks: where they come in no order and all slices together are even, they are noise.
    Labels that were inferred count only where each makes a stack of its own, between whose slices others lie.

    Parameters
    ----------
    z_mm : (slices,) array
        Positions along the normal, descending.
    codes : (slices,) array
        Which stack each slice may be of; -1 for those that tell nothing.
    stated : bool
        Whether an attribute states the labels.

    Returns
    -------
    (slices,) array of bool, or None
        Slices of such stacks; None when the stacks lie one after the other, or there is only one.
    """
    counts = np.bincount(codes[codes >= 0]) if (codes >= 0).any() else np.zeros(0, np.intp)
    large = np.flatnonzero(counts >= LEAST_OF_A_STACK)
    of_large = np.isin(codes, large)
    if len(large) < 2 or runs_of(codes[of_large]) == len(large):
        return None
    if (is_even(z_mm) or not stated) and not all(is_stack(z_mm[codes == code]) for code in large):
        return None
    if not stated and _n_between(z_mm[of_large], codes[of_large]) < LEAST_BETWEEN:
        return None
    return of_large


def _n_between(z_mm: NDArray[np.float64], codes: NDArray[np.intp]) -> int:
    """Count the slices that lie between two neighbours of another stack; a gap in it is no place between."""
    found = 0
    for code in np.unique(codes):
        own, others = z_mm[codes == code][::-1], z_mm[codes != code]
        steps_mm = np.diff(own)
        above = np.searchsorted(own, others)
        inside = (above > 0) & (above < len(own))
        narrow = steps_mm[above[inside] - 1] <= MAX_GAP * np.median(steps_mm)
        found += int(narrow.sum()) + int(np.isin(others[~inside], own).sum())
    return found
