"""Which stored cubes a segmenter of one's own learns from and is judged on, with the readers' masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.learn.candidate_rows import series_of
from lidcflow.learn.nodule_rows import NoduleRows, read_nodule_cubes
from lidcflow.learn.segmenter_variations import OutlinedCube
from lidcflow.nodules.cubes import CUBE_VOXELS
from lidcflow.nodules.outline import outline_of
from lidcflow.nodules.window import windowed
from lidcflow.store.volumes import VolumeStore

MOST_CUBES = 1500
"""Cubes that are held in memory: 186 MB."""


class OutlinedCubes(Sequence[OutlinedCube]):
    """Cubes as the training takes them, kept as bytes and bits until one is asked for.

    Parameters
    ----------
    grey : (n, 48, 48, 48) array of uint8
        Densities in the detector's window.
    bits : (n, 13824) array of uint8
        Masks, a bit a voxel.
    voxel_mm : (n,) array of float64
    """

    def __init__(self, grey: NDArray[np.uint8], bits: NDArray[np.uint8], voxel_mm: NDArray[np.float64]) -> None:
        self._grey, self._bits, self._voxel_mm = grey, bits, voxel_mm

    def __len__(self) -> int:
        return len(self._grey)

    @overload
    def __getitem__(self, index: int) -> OutlinedCube: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[OutlinedCube]: ...

    def __getitem__(self, index: int | slice) -> OutlinedCube | Sequence[OutlinedCube]:
        """Return a cube with its mask, or some of them."""
        if isinstance(index, slice):
            return OutlinedCubes(self._grey[index], self._bits[index], self._voxel_mm[index])
        mask = np.unpackbits(self._bits[index]).reshape([CUBE_VOXELS] * 3).astype(np.float32)
        return OutlinedCube(self._grey[index].astype(np.float32), mask, float(self._voxel_mm[index]))


def outlined_rows(rows: NoduleRows, split: str) -> pd.DataFrame:
    """Return the nodules of a split whose outline is known: enough readers marked them, and their mask can be measured.

    Parameters
    ----------
    rows : NoduleRows
    split : str
    """
    of_split = rows.of_split(split)
    known = of_split[of_split["outlined"] & of_split["counts"]]
    measurable = [_is_measurable(rows, index, mm) for index, mm in zip(known.index, known["voxel_mm"], strict=True)]
    return known[np.array(measurable, bool)]


def _is_measurable(rows: NoduleRows, index: int, voxel_mm: float) -> bool:
    """Return whether a mask is in the middle of its cube and does not reach through it."""
    return outline_of(rows.mask(index).astype(np.float32), voxel_mm) is not None


def read_outlined(
    chosen: pd.DataFrame,
    rows: NoduleRows,
    store: VolumeStore,
    *,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> OutlinedCubes:
    """Read the cubes that a segmenter learns from, `MOST_CUBES` of them at most.

    Parameters
    ----------
    chosen : DataFrame
        From `outlined_rows`.
    rows : NoduleRows
        With their masks.
    store : VolumeStore
        Where the cubes are.
    seed : int
        Of what is drawn where there are more.
    on_progress : callable, optional
        Called with series read and series in all.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since its nodules were found.
    """
    drawn = chosen.sample(MOST_CUBES, random_state=seed).sort_index() if len(chosen) > MOST_CUBES else chosen
    grey = np.empty((len(drawn), *[CUBE_VOXELS] * 3), np.uint8)
    ordered: list[pd.DataFrame] = []
    total, start = drawn["series_instance_uid"].nunique(), 0
    for done, (_, of_series) in enumerate(series_of(drawn), start=1):
        hu, _ = read_nodule_cubes(of_series, store)
        grey[start : start + len(hu)] = windowed(hu)
        ordered.append(of_series)
        start += len(hu)
        on_progress(done, total)
    order = pd.concat(ordered)
    return OutlinedCubes(grey, rows.masks[order.index.to_numpy()], order["voxel_mm"].to_numpy())


@dataclass(frozen=True, eq=False)
class JudgedNodule:
    """A nodule with its cube and what its readers outlined.

    Attributes
    ----------
    patient_key : str
    hu : (48, 48, 48) array of int16
    voxel_mm : float
    mask : (48, 48, 48) array of bool
    """

    patient_key: str
    hu: NDArray[np.int16]
    voxel_mm: float
    mask: NDArray[np.bool_]


def judged_nodules(chosen: pd.DataFrame, rows: NoduleRows, store: VolumeStore) -> Iterator[JudgedNodule]:
    """Yield nodules with cube and mask, one series at a time.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since its nodules were found.
    """
    for _, of_series in series_of(chosen):
        hu, voxel_mm = read_nodule_cubes(of_series, store)
        for cube, mm, index, key in zip(hu, voxel_mm.tolist(), of_series.index, of_series["patient_key"], strict=True):
            yield JudgedNodule(str(key), cube, mm, rows.mask(index))
