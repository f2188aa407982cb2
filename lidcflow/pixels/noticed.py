"""Faults of a series' pixels that show while it is reduced, whatever its headers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLANK_SLICES, PARTLY_BLANK, IMPLAUSIBLE = "blank-slices", "partly-blank-slices", "implausible-values"

UNSPECIFIED_UNITS = "unspecified-units"
"""Flag of series whose Rescale Type is US: their pixels decide whether they are in Hounsfield units."""

NOT_LEARNED_FROM = frozenset({BLANK_SLICES, PARTLY_BLANK, IMPLAUSIBLE})
"""Flags of volumes that neither training nor evaluation uses."""

BLANK_SHARE = 0.25
"""Share of a slab's thickness from which blank slices spoil it: a quarter shifts soft tissue by some 250 HU."""

NEARLY_HU = 1
"""Cells this close to one value count as constant, as zeros after lossy compression; noise of air is 5 HU and more."""

CONSTANT_CELLS = 0.99
"""Share of constant cells of a blank slice: a burned-in label is left."""

PART = 4
"""A band of rows that is constant all at once counts from this part of the image on."""

NEIGHBOURS = 3
"""Slices on either side that a constant band is compared with."""


@dataclass(frozen=True)
class PixelFaults:
    """Faults of the pixels of a series.

    Parameters
    ----------
    blank_slices, partly_blank_slices : tuple of int
        Indices of source slices that hold one constant value, from 0 at the top; of those where a band of rows does.
    blank_slabs : tuple of int
        Indices of slabs that blank slices make up a quarter of or more.
    implausible : tuple of str
        What a chest has and the volume lacks.
    """

    blank_slices: tuple[int, ...] = ()
    partly_blank_slices: tuple[int, ...] = ()
    blank_slabs: tuple[int, ...] = ()
    implausible: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of the volume that follow."""
        found = {
            BLANK_SLICES: self.blank_slices,
            PARTLY_BLANK: self.partly_blank_slices,
            IMPLAUSIBLE: self.implausible,
        }
        return tuple(flag for flag, what in found.items() if what)


NOTHING = PixelFaults()


class SliceWatch:
    """Watches the reduced source slices of a series for constant ones."""

    def __init__(self) -> None:
        self._blank: list[int] = []
        self._bands: dict[int, tuple[int, int]] = {}
        self._rows = 1

    def look(self, index: int, peak: NDArray[np.int16], mean: NDArray[np.float32]) -> None:
        """Look at one source slice.

        Parameters
        ----------
        index : int
            Of the slice, ascending.
        peak, mean : (size, size) arrays
            Highest and mean HU of its cells.
        """
        self._rows = len(peak)
        if _is_constant(peak, CONSTANT_CELLS) and _is_constant(mean, CONSTANT_CELLS):
            self._blank.append(index)
        else:
            self._bands[index] = _constant_rows(peak), _constant_rows(peak[::-1])

    def noticed(self, weights: NDArray[np.float64]) -> PixelFaults:
        """Return what was seen.

        Parameters
        ----------
        weights : (slabs, source slices) array
            Share of each source slice in each slab.
        """
        shares = weights[:, self._blank].sum(axis=1)
        slabs = np.flatnonzero(shares >= BLANK_SHARE - 1e-9).tolist()
        return PixelFaults(tuple(self._blank), tuple(self._partly_blank()), tuple(slabs))

    def _partly_blank(self) -> list[int]:
        """Name the slices whose constant band is far wider than around: a masked background grows slowly."""
        indices, bands = list(self._bands), np.array(list(self._bands.values())).reshape(-1, 2)
        if not bands.any():
            return []
        return [index for i, index in enumerate(indices) if (bands[i] - _around(bands, i) >= self._rows / PART).any()]


def _is_constant(cells: NDArray[np.int16] | NDArray[np.float32], share: float) -> bool:
    """Return whether nearly all cells have one value; of most, eight cells across the image deny that."""
    step = cells.size // 9 + len(cells) // 7 + 1
    some = sorted(map(cells.item, range(step, 8 * step + 1, step)))
    value = some[len(some) // 2]
    if some[-3] - some[2] > NEARLY_HU:
        return False
    return bool(np.count_nonzero(np.abs(cells - value) <= NEARLY_HU) >= share * cells.size)


def _constant_rows(cells: NDArray[np.int16]) -> int:
    """Count the first rows that hold one value."""
    first = cells[0]
    some = [first.item(0), first.item(len(first) // 3), first.item(len(first) // 2), first.item(-1)]
    if max(some) - min(some) > NEARLY_HU or first.max() - first.min() > NEARLY_HU:
        return 0
    differs = (np.abs(cells - cells[0, 0]) > NEARLY_HU).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(cells)


def _around(bands: NDArray[np.int_], i: int) -> NDArray[np.int_]:
    """Return the wider of the narrowest bands above and below a slice."""
    sides: Sequence[NDArray[np.int_]] = [bands[max(0, i - NEIGHBOURS) : i], bands[i + 1 : i + 1 + NEIGHBOURS]]
    narrowest = [side.min(axis=0) for side in sides if len(side)]
    around: NDArray[np.int_] = np.max(narrowest, axis=0) if narrowest else bands[i]
    return around
