"""Cross-validation by patient of systems that classify rated nodules, a design at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import TrainingError
from lidcflow.learn.malignancy_folds import FOLDS, patient_folds
from lidcflow.nodules.malignancy_features import quantitative_features
from lidcflow.nodules.nodule_plane import plane_of
from lidcflow.nodules.slice_file import NoduleSliceSet, read_nodule_slices
from lidcflow.stats.malignancy_figures import DESIGNS, chosen_for

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Progress = Callable[[str, int, int], None]

SLICES = "nodule-slices"

LEAST_OF_A_CLASS = 30
"""Nodules of each kind that a design must have."""


@dataclass(frozen=True, eq=False)
class RatedNodules:
    """Nodules with ratings, and what is read from their images alone.

    Attributes
    ----------
    sets : NoduleSliceSet
    qif : (n, 40) array of float64
        From `lidcflow.nodules.malignancy_features.quantitative_features`.
    diameter_mm : (n,) array of float64
        By the mask in the image.
    """

    sets: NoduleSliceSet
    qif: Floats
    diameter_mm: Floats

    @property
    def sizes(self) -> dict[str, Floats]:
        """Measures of size, those with unknown values left out."""
        measures = {"image": self.diameter_mm, "area_diameter_mm": self.sets.area_diameter_mm}
        return {name: size for name, size in measures.items() if np.isfinite(size).all()}


@dataclass(frozen=True, eq=False)
class Fold:
    """Training nodules of one fold, and the nodules that it predicts.

    Attributes
    ----------
    seen, left_out : (...,) arrays of int
        Places of nodules; no patient is in both.
    malignant : (n,) array of bool
        Which of all nodules are malignant.
    seed : int
    """

    seen: Places
    left_out: Places
    malignant: Flags
    seed: int


Learn = Callable[[RatedNodules, Fold], dict[str, Floats]]
"""Learns from a fold's seen nodules; returns P(malignant) of those left out, by the name of the system."""


def read_rated_nodules(data: Path) -> RatedNodules:
    """Read the nodules of ``nodule-slices`` below a folder, with their features.

    Raises
    ------
    LabelError
        If the set is missing or damaged.
    TrainingError
        If every design has fewer than 30 nodules of a kind.
    """
    sets = read_nodule_slices(data / SLICES)
    if set(lacking := lacking_designs(sets.rating)) == set(DESIGNS):
        raise TrainingError(f"nodule slices: {'; '.join(lacking.values())}; add nodules")
    planes = np.stack([plane_of(image, float(mm)) for image, mm in zip(sets.hu, sets.pixel_mm, strict=True)])
    return RatedNodules(sets, *quantitative_features(planes))


def lacking_designs(rating: Floats) -> dict[str, str]:
    """Return why designs can't be learned, by name: they have fewer than 30 nodules of a kind.

    Examples
    --------
    >>> lacking_designs(np.repeat([1.0, 3.0], 30))["S1 vs S45"]
    'S1 vs S45 must have at least 30 malignant and as many benign nodules, got 0 and 30'
    """
    found = {design: chosen_for(design, rating) for design in DESIGNS}
    counts = {name: (int((of & bad).sum()), int((of & ~bad).sum())) for name, (of, bad) in found.items()}
    return {
        name: f"{name} must have at least {LEAST_OF_A_CLASS} malignant and as many benign nodules, got {bad} and {good}"
        for name, (bad, good) in counts.items()
        if min(bad, good) < LEAST_OF_A_CLASS
    }


def cross_validate(
    nodules: RatedNodules,
    learn: Learn,
    designs: Mapping[str, tuple[Flags, Flags]],
    *,
    folds: int = FOLDS,
    seed: int = 0,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> dict[str, dict[str, Floats]]:
    """Return P(malignant) of each nodule by systems that saw none of its patient's.

    Parameters
    ----------
    nodules : RatedNodules
    learn : callable
        Learns from a fold; see `Learn`.
    designs : mapping of str to two (n,) arrays of bool
        Which nodules a design takes, and which are malignant; each is learned by itself.
    folds, seed : int
        The folds are the same in all designs.
    on_progress : callable, optional

    Returns
    -------
    dict of str to dict of str to (n,) array
        By design and system; NaN for nodules that the design does not take.
    """
    found: dict[str, dict[str, Floats]] = {design: {} for design in designs}
    split = list(patient_folds(nodules.sets.patient, folds=folds, seed=seed))
    jobs = [(design, fold) for design in designs for fold in split]
    for done, (design, (seen, left_out)) in enumerate(jobs):
        on_progress("folds", done, len(jobs))
        chosen, malignant = designs[design]
        fold = Fold(seen[chosen[seen]], left_out[chosen[left_out]], malignant, seed)
        for system, probability in learn(nodules, fold).items():
            of_all = found[design].setdefault(system, np.full(len(chosen), np.nan))
            of_all[fold.left_out] = probability
    on_progress("folds", len(jobs), len(jobs))
    return found
