"""Which stored candidates a detector of one's own learns from, and their patches in the detector's window."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.errors import TrainingError
from lidcflow.learn.candidate_rows import CandidateRows, series_of
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PLANES
from lidcflow.nodules.stored import StoredCandidates, read_candidates
from lidcflow.nodules.truth import Kind
from lidcflow.nodules.window import SIZE, windowed
from lidcflow.store.volumes import VolumeStore

VIEWS = len(PATCH_PIXEL_MM) * len(PLANES)
"""Images of a candidate: the planes of the narrow patches, then those of the wide ones."""

MOST_POSITIVES, MOST_NEGATIVES = 6000, 12000
"""Candidates that are held in memory: 83 and 166 MB."""

HARD = 0.5
"""Share of a series' negatives that the filter scores highest; the others are drawn from the rest."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Candidates to learn from.

    Attributes
    ----------
    views : (n, 6, 48, 48) array of uint8
        Three planes of the narrow patches, then of the wide ones, in the detector's window.
    nodule : (n,) array of bool
    share : (n,) array of float64
        How often each is drawn among those of its kind: nodules count the same, however many candidates each has.
    """

    views: NDArray[np.uint8]
    nodule: NDArray[np.bool_]
    share: NDArray[np.float64]


def choose_rows(
    rows: CandidateRows, *, seed: int, positives: int = MOST_POSITIVES, negatives: int = MOST_NEGATIVES
) -> pd.DataFrame:
    """Choose the candidates of training patients that the detector learns from.

    Parameters
    ----------
    rows : CandidateRows
        All candidates.
    seed : int
        Of what is drawn; a series draws the same whatever the others are.
    positives, negatives : int
        Largest number of examples; negatives are divided evenly among the series.

    Returns
    -------
    DataFrame
        Rows of candidates in nodules, and of those that lie neither in nor beside one.
    """
    training = rows.of_split("train")
    nodules = training[training["kind"] == Kind.NODULE]
    if len(nodules) > positives:
        nodules = nodules.sample(positives, random_state=seed)
    others = training[training["kind"] == Kind.NEGATIVE]
    each = max(1, negatives // max(1, others["series_instance_uid"].nunique()))
    chosen = [_hard_and_drawn(of_series, each, seed + zlib.crc32(uid.encode())) for uid, of_series in series_of(others)]
    return pd.concat([nodules, *chosen]).sort_index()


def _hard_and_drawn(negatives: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    if len(negatives) <= n:
        return negatives
    ranked = negatives.sort_values("score", ascending=False, kind="stable")
    hard = int(np.ceil(HARD * n))
    drawn = ranked[hard:].sample(n - hard, random_state=seed % 2**32)
    return pd.concat([ranked[:hard], drawn])


def read_examples(
    chosen: pd.DataFrame, store: VolumeStore, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Examples:
    """Read the patches of chosen candidates, one series at a time.

    Parameters
    ----------
    chosen : DataFrame
        From `choose_rows`.
    store : VolumeStore
        Where the patches are.
    on_progress : callable, optional
        Called with series read and series in all.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since they were judged.
    """
    views = np.empty((len(chosen), VIEWS, SIZE, SIZE), np.uint8)
    ordered, start, total = [], 0, chosen["series_instance_uid"].nunique()
    for done, (uid, rows) in enumerate(series_of(chosen), start=1):
        stored = read_judged(store, uid, rows)
        views[start : start + len(rows)] = views_of(stored.patches[rows["candidate"].to_numpy()])
        ordered.append(rows)
        start += len(rows)
        on_progress(done, total)
    rows = pd.concat(ordered) if ordered else chosen
    return Examples(views, (rows["kind"] == Kind.NODULE).to_numpy(), _shares(rows))


def read_judged(store: VolumeStore, uid: str, rows: pd.DataFrame) -> StoredCandidates:
    """Read the candidates of a series.

    Raises
    ------
    TrainingError
        If they have changed since they were judged.
    """
    stored = read_candidates(store, uid)
    places = rows["candidate"].to_numpy()
    if stored is None or places.max(initial=-1) >= len(stored.table):
        raise TrainingError(f"series {uid}: must have the candidates that were judged, got others; train again")
    if not np.array_equal(stored.table["score"][places], rows["score"].to_numpy()):
        raise TrainingError(f"series {uid}: candidates must be those that were judged, got other scores; train again")
    return stored


def views_of(patches: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the six views of candidates in the detector's window.

    Parameters
    ----------
    patches : (n, 2, 3, 48, 48) array of int
        HU, as stored.

    Returns
    -------
    (n, 6, 48, 48) array of uint8
    """
    return windowed(patches).reshape(len(patches), VIEWS, SIZE, SIZE)


def _shares(rows: pd.DataFrame) -> NDArray[np.float64]:
    several = rows.groupby(["series_instance_uid", "nodule"])["candidate"].transform("size").to_numpy(np.float64)
    return np.asarray(np.where(rows["kind"] == Kind.NODULE, 1 / several, 1.0))


def validation_series(rows: CandidateRows, store: VolumeStore) -> Iterator[tuple[pd.DataFrame, StoredCandidates]]:
    """Yield the rows and the stored candidates of each validation series, one at a time.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since they were judged.
    """
    for uid, of_series in series_of(rows.of_split("validation")):
        yield of_series, read_judged(store, uid, of_series)
