"""Prevalence of nodules at each height of the chest in LIDC-IDRI: the prior without images."""

from __future__ import annotations

import functools
import json
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

FILE = "weights/chest_height.json"
"""Made by `lidcflow.nodules.chest_height_table`, which needs SciPy and LIDC-IDRI's labels; reading it needs neither."""


def embedded_chest_height(slices: int) -> NDArray[np.float64]:
    """Return the probabilities of the classes at the heights of a volume's slices.

    Parameters
    ----------
    slices : int
        Slices of the volume, which cover the scan from top to bottom.

    Returns
    -------
    (slices, 3) array of float64
        P(non-nodule), P(benign), P(malignant); rows sum to 1.

    Examples
    --------
    >>> embedded_chest_height(65)[:, 0].argmin()
    np.int64(29)
    """
    known = _table()
    heights, wanted = (np.arange(count) + 0.5 for count in (len(known), slices))
    places = wanted * len(known) / slices
    table = np.stack([np.interp(places, heights, of_class) for of_class in known.T], axis=1)
    probabilities: NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
    return probabilities


@functools.cache
def _table() -> NDArray[np.float64]:
    content = json.loads(files("lidcflow.nodules").joinpath(FILE).read_text(encoding="utf-8"))
    return np.array(content["probabilities"])
