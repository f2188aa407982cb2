"""The threshold of P(nodule) from which a slice is recommended: chosen on validation for a target sensitivity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import ReleaseError
from lidcflow.release.outcome import OperatingPoint
from lidcflow.stats.bootstrap import Floats, estimate, ratio
from lidcflow.stats.paired import Sample


def threshold_for(p_nodule: NDArray[np.floating], labels: NDArray[np.integer], target_sensitivity: float) -> float:
    """Find the highest threshold at which enough of the nodule slices are found.

    Parameters
    ----------
    p_nodule : (slices,) array
        Calibrated probability of a nodule, benign or malignant, on validation slices.
    labels : (slices,) array
        0 non-nodule, 1 benign, 2 malignant.
    target_sensitivity : float
        Share of nodule slices that must reach the threshold.

    Raises
    ------
    ReleaseError
        If no slice holds a nodule.

    Examples
    --------
    >>> threshold_for(np.array([0.9, 0.8, 0.3, 0.2]), np.array([1, 0, 2, 0]), 0.5)
    0.9
    """
    nodule = np.sort(np.asarray(p_nodule, dtype=np.float64)[np.asarray(labels) > 0])[::-1]
    if nodule.size == 0:
        raise ReleaseError(
            "threshold: the validation slices must hold at least one nodule, got none; add series or another split seed"
        )
    needed = int(np.ceil(target_sensitivity * nodule.size))
    return float(nodule[max(needed, 1) - 1])


def operating_point(probabilities: Floats, sample: Sample, threshold: float) -> OperatingPoint:
    """Measure what reaches a threshold on held-out patients, with 95% intervals over them.

    Parameters
    ----------
    probabilities : (studies, slices, 3) array
    sample : Sample
        What is true of the studies.
    threshold : float
        Of P(nodule).
    """
    nodule = sample.labels.ravel() > 0
    above = probabilities[..., 1:].sum(axis=-1).ravel() >= threshold
    columns = np.stack([nodule & above, nodule, above, np.ones_like(above)], axis=1)
    found, nodules, reached, slices = sample.sums(columns.astype(np.float64)).T
    return OperatingPoint(sensitivity=estimate(ratio(found, nodules)), slices_above=estimate(ratio(reached, slices)))
