"""Where lung and bone lie along a scan: what a part of a chest, or one that is upside down, shows at once.

The histogram and the mean features of a series are those of its slices in any order, and much the same for a part of a
chest. Along its height lungs begin small under the shoulders' bones and end on the domes of the diaphragm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TENTHS = 10
TISSUES_HU = {"lung": (-950, -600), "bone": (200, 3072)}
"""Lower and upper end of what counts as each; what is below all of them is air."""

LEAST_SPREAD = np.array([[0.02], [0.007]])
"""Of the shares of lung and bone between training series: fewer of them would make it smaller by chance."""

TURNED = 1.1
"""From this factor on it counts that a series turned upside down is nearer to training than as it is."""


def heights_of(mean_hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the share of lung and of bone in what is not air, in each tenth of the height.

    Parameters
    ----------
    mean_hu : (slices, rows, columns) array of int16
        Channel ``mean`` of a volume, top first.

    Returns
    -------
    (2, 10) array of float64
        Lung and bone, top first.

    Examples
    --------
    >>> slab = np.array([[[-800, 40], [300, -1000]]], dtype=np.int16)
    >>> heights_of(np.repeat(slab, 10, axis=0))[:, 0].round(2)
    array([0.33, 0.33])
    """
    body = np.maximum((mean_hu >= TISSUES_HU["lung"][0]).sum(axis=(1, 2)), 1)
    shares = [((mean_hu >= low) & (mean_hu < high)).sum(axis=(1, 2)) / body for low, high in TISSUES_HU.values()]
    return np.stack([_in_tenths(share) for share in shares])


def _in_tenths(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over each tenth of the slices; a slice on an edge counts in both, by its parts."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    edges = np.linspace(0, len(values), TENTHS + 1)
    return np.asarray(np.diff(np.interp(edges, np.arange(len(sums)), sums)) / np.diff(edges))


@dataclass(frozen=True, eq=False)
class Heights:
    """What training series look like along their height.

    Parameters
    ----------
    mean, spread : (2, 10) arrays
        Of the training series.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, heights: NDArray[np.float64]) -> Heights:
        """Sum up (series, 2, 10) shares."""
        return cls(heights.mean(axis=0), np.maximum(heights.std(axis=0), LEAST_SPREAD))

    def distance(self, heights: NDArray[np.float64]) -> float:
        """Return how far a series is from the mean, in standard deviations of a share."""
        return float(np.sqrt((((heights - self.mean) / self.spread) ** 2).mean()))

    def turned(self, heights: NDArray[np.float64]) -> float:
        """Return how much further a series is as it is than turned upside down; above 1 it is further."""
        return self.distance(heights) / max(self.distance(heights[:, ::-1]), np.finfo(float).tiny)
