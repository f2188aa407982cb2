"""The nodules of a store that systems of malignancy learn from: their views and ratings, read a series at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.files import whole_file
from lidcflow.learn.candidate_rows import series_of
from lidcflow.learn.nodule_rows import NoduleRows, read_nodule_cubes
from lidcflow.nodules.nodule_views import NoduleViews, joined, trusted, views_of
from lidcflow.nodules.outline import outline_of
from lidcflow.nodules.systems import SegmenterLike
from lidcflow.store.volumes import VolumeStore

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_TRAINING, LEAST_VALIDATION, LEAST_PATIENTS = 30, 5, 2
"""Nodules of each class that training and validation need, and validation patients with nodules of each class."""


COLUMNS = ("rating", "spread", "readers", "patient")


@dataclass(frozen=True, eq=False)
class RatedViews:
    """Nodules that readers rated.

    Attributes
    ----------
    views : NoduleViews
    rating, spread : (n,) arrays of float64
        Mean and standard deviation of the readers' malignancy ratings, 1 to 5.
    readers : (n,) array of int
        How many rated it.
    patient : (n,) array of str
        Pseudonym of its patient.
    unrated : int
        Nodules beside these that nobody rated.
    """

    views: NoduleViews
    rating: Floats
    spread: Floats
    readers: NDArray[np.int64]
    patient: NDArray[np.str_]
    unrated: int = 0

    def take(self, places: NDArray[np.generic]) -> RatedViews:
        """Return some of the nodules, by places or flags."""
        ratings = (self.rating[places], self.spread[places], self.readers[places], self.patient[places])
        return RatedViews(self.views.take(places), *ratings)

    @classmethod
    def joined(cls, parts: Sequence[RatedViews]) -> RatedViews:
        """Return the nodules of several as one, in order; there must be some."""
        columns = {name: np.concatenate([getattr(one, name) for one in parts]) for name in COLUMNS}
        return cls(joined(one.views for one in parts), unrated=sum(one.unrated for one in parts), **columns)

    def save(self, file: Path) -> None:
        """Write the nodules as NumPy's archive, whole or not at all; no pickle."""
        arrays = {field.name: getattr(self.views, field.name) for field in fields(self.views)}
        arrays |= {name: getattr(self, name) for name in COLUMNS}
        with whole_file(file) as draft, draft.open("wb") as stream:
            np.savez(stream, unrated=np.array(self.unrated), **arrays)

    @classmethod
    def load(cls, file: Path) -> RatedViews:
        """Read nodules that `save` wrote."""
        with np.load(file, allow_pickle=False) as stored:
            views = NoduleViews(*(stored[field.name] for field in fields(NoduleViews)))
            return cls(views, unrated=int(stored["unrated"]), **{name: stored[name] for name in COLUMNS})

    def easiness(self, malignant_at: float) -> Floats:
        """Return how easy nodules are: how far their mean rating is from the threshold, less how readers disagree."""
        return np.asarray(np.abs(self.rating - malignant_at) - self.spread)


def rated_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of nodules that somebody rated."""
    return table[table["rating"].notna()]


def why_not_trained(rows: NoduleRows, malignant_at: float = MALIGNANT_AT) -> str:
    """Return why a store has too few rated nodules to train a system on; empty where it has enough.

    Parameters
    ----------
    rows : NoduleRows
        All nodules of training and validation patients.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    """
    if rows.table.empty:
        return "the store has no nodules with readings and a cube"
    training, validation = (
        _classes(rated_rows(rows.of_split(split)), malignant_at) for split in ("train", "validation")
    )
    patients = [int(of_class["patient_key"].nunique()) for of_class in validation]
    enough = (
        min(map(len, training)) >= LEAST_TRAINING
        and min(map(len, validation)) >= LEAST_VALIDATION
        and min(patients) >= LEAST_PATIENTS
    )
    if enough:
        return ""
    return (
        f"training a malignancy system needs {LEAST_TRAINING} malignant and as many benign nodules of training "
        f"patients and {LEAST_VALIDATION} of each of validation patients, {LEAST_PATIENTS} patients for each at least; "
        f"the store has {len(training[0])} malignant and {len(training[1])} benign, and {len(validation[0])} and "
        f"{len(validation[1])} of {patients[0]} and {patients[1]} validation patients"
    )


def _classes(rated: pd.DataFrame, malignant_at: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    malignant = rated["rating"] >= malignant_at
    return rated[malignant], rated[~malignant]


def read_rated_views(
    table: pd.DataFrame,
    store: VolumeStore,
    segmenter: SegmenterLike | None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> RatedViews:
    """Read what systems see of nodules; the cubes of one series at a time are in memory.

    Parameters
    ----------
    table : DataFrame
        Rows of `lidcflow.learn.nodule_rows.NoduleRows`; those without a rating are left out.
    store : VolumeStore
        Where their cubes are.
    segmenter : SegmenterLike, optional
        Outlines nodules as it does for an answer; without it, middle slices are read.
    on_progress : callable, optional
        Called with the series read and those in all.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since their nodules were found.
    ValueError
        If nobody rated any.
    """
    rated = rated_rows(table)
    series = rated["series_instance_uid"].nunique()
    parts: list[NoduleViews] = []
    orders: list[pd.DataFrame] = []
    for done, (_, rows) in enumerate(series_of(rated), start=1):
        parts.extend(_views_in(rows, store, segmenter))
        orders.append(rows)
        on_progress(done, series)
    ordered = pd.concat(orders) if orders else rated
    return RatedViews(
        views=joined(parts),
        rating=ordered["rating"].to_numpy(np.float64),
        spread=ordered["spread"].to_numpy(np.float64),
        readers=ordered["readers"].to_numpy(np.int64),
        patient=ordered["patient_key"].to_numpy(str),
        unrated=len(table) - len(rated),
    )


def _views_in(rows: pd.DataFrame, store: VolumeStore, segmenter: SegmenterLike | None) -> Iterator[NoduleViews]:
    """Yield the views of the nodules of one series."""
    cubes, voxel_mm = read_nodule_cubes(rows, store)
    for cube, mm in zip(cubes, voxel_mm.tolist(), strict=True):
        outline = None if segmenter is None else outline_of(segmenter.probabilities(cube[None], [mm])[0], mm)
        yield views_of(cube, mm, trusted(outline, mm))
