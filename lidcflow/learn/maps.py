"""Activation maps of many slices, read from the store as they are needed: never all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.learn.features import FeatureReader
from lidcflow.learn.predict import outputs_of

POOL_BYTES = 128 * 2**20
"""Maps that batches are drawn from: 16 series of 65 x 32 x 32 x 64. Each series is one read, not one for each slice."""

READERS = 4
"""Series that are read side by side."""


class _Series(NamedTuple):
    uid: str
    slices: NDArray[np.intp]
    places: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class StoredMaps:
    """Slices of one split whose maps lie in the store.

    Attributes
    ----------
    rows : DataFrame
        With columns ``series_instance_uid``, ``slice`` (from 1) and ``label``.
    read : callable
        Reads the maps of a series.
    views : tuple of callables
        Each reads those of a variation of every series; for training slices only.
    pool_bytes : int
        Most bytes of maps that batches are drawn from; a series at least.
    """

    rows: pd.DataFrame
    read: FeatureReader
    views: tuple[FeatureReader, ...] = ()
    pool_bytes: int = POOL_BYTES

    @property
    def labels(self) -> NDArray[np.int8]:
        """Class of each slice, 0 to 2, in the order of the rows."""
        labels: NDArray[np.int8] = self.rows["label"].to_numpy()
        return labels

    def outputs(self, model: Any) -> NDArray[np.float32]:
        """Apply a model to the maps as they are, a series at a time; one output a slice, in the order of the rows."""
        parts = [outputs_of(model, _maps(series, self.read)) for series in self._series]
        answers = np.empty((len(self.rows), *parts[0].shape[1:]), np.float32)
        answers[np.concatenate([series.places for series in self._series])] = np.concatenate(parts)
        return answers

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
        """Yield the slices in batches of one size, shuffled, each series as it is or as one of its views.

        What does not fill a batch in the end is left out, as another size would be traced anew, and few slices would
        weigh as much as many; there is one batch at least.

        Parameters
        ----------
        size : int
            Slices of a batch.
        rng : numpy.random.Generator
            Where chance comes from.

        Yields
        ------
        maps : (size, rows, columns, channels) array of float32
        places : (size,) array of int
            Rows that they are of.
        """
        size = min(size, len(self.rows))
        left_maps: list[NDArray[np.float16]] = []
        left_places: list[NDArray[np.intp]] = []
        for pool in self._pools(rng):
            maps = np.concatenate([*left_maps, *self._read_pool(pool, rng)])
            places = np.concatenate([*left_places, *(series.places for series in pool)])
            order = rng.permutation(len(places))
            full = len(order) // size * size
            for batch in order[:full].reshape(-1, size):
                yield maps[batch].astype(np.float32), places[batch]
            left_maps, left_places = [maps[order[full:]]], [places[order[full:]]]

    @cached_property
    def _series(self) -> list[_Series]:
        grouped = self.rows.reset_index(drop=True).groupby("series_instance_uid", sort=False)
        return [_Series(str(uid), of["slice"].to_numpy() - 1, of.index.to_numpy()) for uid, of in grouped]

    def _pools(self, rng: np.random.Generator) -> Iterator[list[_Series]]:
        """Shuffle the series into pools that memory is given for."""
        shuffled = [self._series[place] for place in rng.permutation(len(self._series))]
        bytes_of_slice = self.read(shuffled[0].uid, range(1)).nbytes
        pool: list[_Series] = []
        for series in shuffled:
            if pool and bytes_of_slice * sum(len(one.slices) for one in [*pool, series]) > self.pool_bytes:
                yield pool
                pool = []
            pool.append(series)
        yield pool

    def _read_pool(self, pool: Sequence[_Series], rng: np.random.Generator) -> list[NDArray[np.float16]]:
        kinds = (self.read, *self.views)
        chosen = [kinds[kind] for kind in rng.integers(len(kinds), size=len(pool))]
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(_maps, pool, chosen))


def _maps(series: _Series, read: FeatureReader) -> NDArray[np.float16]:
    """Read the maps of the slices of a series, no more than from the first to the last of them."""
    first, last = int(series.slices.min()), int(series.slices.max())
    maps = read(series.uid, range(first, last + 1))
    return maps if len(maps) == len(series.slices) else maps[series.slices - first]
