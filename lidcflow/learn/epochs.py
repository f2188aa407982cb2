"""What an epoch of training shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Figures = tuple[float, float]
"""Loss, weighted by class and with penalties; and accuracy, which is not weighted."""


def mean_figures(batches: Sequence[Figures]) -> Figures:
    """Return the figures of an epoch from those of its batches, which are of one size.

    Examples
    --------
    >>> mean_figures([(1.0, 0.5), (2.0, 1.0)])
    (1.5, 0.75)
    """
    loss, accuracy = np.mean(batches, axis=0).tolist()
    return loss, accuracy


def figures_of(logs: dict[str, Any]) -> Figures:
    """Return the figures of what Keras says of a batch: of that one alone, for it forgets the others."""
    return float(logs["loss"]), float(logs["accuracy"])
