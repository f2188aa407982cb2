"""The systems that say what a finding is: a segmenter, and one for malignancy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.outline import Outline
from lidcflow.nodules.segmenter import Segmenter, embedded_segmenter


class SegmenterLike(Protocol):
    """Says which voxels of cubes are inside of their nodule."""

    def probabilities(self, cubes: NDArray[np.integer], voxel_mm: Sequence[float]) -> NDArray[np.float32]:
        """Return P(inside the nodule) of each voxel, (n, 48, 48, 48)."""


class MalignancyAnswerLike(Protocol):
    """P(malignant) of a nodule, and in what it lies outside of what the system was trained on."""

    @property
    def probability(self) -> float:
        """P(malignant)."""

    @property
    def outside(self) -> tuple[str, ...]:
        """Codes such as ``size`` and ``texture``."""


class MalignancyLike(Protocol):
    """Says how malignant a nodule is."""

    @property
    def name(self) -> str:
        """Name of the system."""

    def answer(
        self, cube: NDArray[np.integer], voxel_mm: float, outline: Outline | None, diameter_mm: float
    ) -> MalignancyAnswerLike:
        """Return the answer for the nodule in the middle of a cube."""


class FindingSystems(NamedTuple):
    """The models for a finding; None for one that this package does not have."""

    segmenter: Segmenter | None
    malignancy: MalignancyLike | None


def finding_systems() -> FindingSystems:
    """Return the systems that ship with the package.

    Raises
    ------
    WeightsError
        If the files of one are missing or damaged.
    """
    return FindingSystems(embedded_segmenter(), embedded_malignancy())
