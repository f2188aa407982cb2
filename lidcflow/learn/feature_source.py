"""Where a training reads the features of its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FeatureReader(Protocol):
    """From a SeriesInstanceUID to the features of its slices, all or a range from 0; float16, one row per slice."""

    def __call__(self, uid: str, slices: range | None = None, /) -> NDArray[np.float16]: ...


@dataclass(frozen=True)
class FeatureSource:
    """Features as they are stored, and what finetuning needs beside them.

    Attributes
    ----------
    read : callable
        Reads the features of a series.
    views : tuple of callables
        Each reads those of one variation of a training series, from `lidcflow.learn.views`.
    size : int
        Rows and columns of the volumes.
    """

    read: FeatureReader
    views: tuple[FeatureReader, ...] = ()
    size: int = 0
