"""What a model must beat: knowing only how often a sector holds a nodule, and reviewing slices at even steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sector_prior(
    slice_indices: NDArray[np.integer], labels: NDArray[np.integer], sectors: Sequence[range]
) -> NDArray[np.float64]:
    """Predict each slice by the class shares of its sector in the training set.

    A sector's shares are drawn towards those of all sectors by the weight of one slice, so that no class
    gets probability 0.

    Parameters
    ----------
    slice_indices, labels : (rows,) arrays of int
        Training rows at natural prevalence: slice from 0, and class.
    sectors : sequence of range
        From `lidcflow.learn.sectors.sector_slices`.

    Returns
    -------
    (slices, 3) array of float64
        Probability of each class, the same for all studies.

    Examples
    --------
    >>> sector_prior(np.array([0, 1]), np.array([0, 2]), [range(0, 1), range(1, 2)])
    array([[0.7, 0.1, 0.2],
           [0.2, 0.1, 0.7]])
    """
    shares = (np.bincount(labels, minlength=3) + 1) / (len(labels) + 3)
    probabilities = np.empty((sectors[-1].stop, 3))
    for sector in sectors:
        inside = labels[(slice_indices >= sector.start) & (slice_indices < sector.stop)]
        probabilities[sector.start : sector.stop] = (np.bincount(inside, minlength=3) + shares) / (len(inside) + 1)
    return probabilities


def uniform_every_k(n_slices: int, n: int) -> NDArray[np.int64]:
    """Choose n slices at even steps, each in the middle of its part.

    Parameters
    ----------
    n_slices : int
        Slices of a volume.
    n : int
        Slices to review, at most `n_slices`.

    Returns
    -------
    (n,) array of int64
        Slices from 0, rising.

    Examples
    --------
    >>> uniform_every_k(65, 5)
    array([ 6, 19, 32, 45, 58])
    """
    return ((2 * np.arange(n, dtype=np.int64) + 1) * n_slices) // (2 * n)
