"""The slices of an index: tuples while they are few, else packed and set aside until they are asked for."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, overload

from lidcflow.dicom.records import PixelFormat, Series, SourceSlice
from lidcflow.source.shelf import common_start
from lidcflow.spool import Place, Spool

HELD = 100_000
"""Slices that are held as they are: 28 MB."""

_NAMES = [field.name for field in fields(SourceSlice)]
_PATH, _PIXELS = _NAMES.index("path"), _NAMES.index("pixels")
_values_of = attrgetter(*_NAMES)


class PackedSlices(Sequence[SourceSlice]):
    """Slices of a series that lie in a spool; pickled, as a series is on its way to a worker, they are a tuple.

    Parameters
    ----------
    spool : Spool
        What holds them.
    place : Place
        Where.
    length : int
        Slices.
    """

    __slots__ = ("_length", "_place", "_spool")

    def __init__(self, spool: Spool, place: Place, length: int) -> None:
        self._spool, self._place, self._length = spool, place, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[SourceSlice]:
        return iter(self._unpacked())

    @overload
    def __getitem__(self, item: int) -> SourceSlice: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[SourceSlice, ...]: ...
    def __getitem__(self, item: int | slice) -> SourceSlice | tuple[SourceSlice, ...]:
        return self._unpacked()[item]

    def __eq__(self, other: object) -> bool:
        return self._unpacked() == (tuple(other) if isinstance(other, PackedSlices) else other)

    def __hash__(self) -> int:
        return hash(self._unpacked())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._unpacked(),)

    def _unpacked(self) -> tuple[SourceSlice, ...]:
        return unpacked(self._spool.get(self._place))


class SliceShelf:
    """Takes series, and gives them back with their slices set aside once there are many."""

    def __init__(self) -> None:
        self._n_held = 0
        self._spool = Spool()

    def shelve(self, series: Series) -> Series:
        """Return a series as the index keeps it.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        if self._n_held + len(series.slices) <= HELD:
            self._n_held += len(series.slices)
            return series
        place = self._spool.put(packed(series.slices))
        return replace(series, slices=PackedSlices(self._spool, place, len(series.slices)))


def packed(slices: Sequence[SourceSlice]) -> bytes:
    """Pack the slices of a series."""
    paths = [source.path for source in slices]
    prefix = common_start(min(paths), max(paths))
    formats: dict[PixelFormat, int] = {}
    rows = [_row(source, len(prefix), formats) for source in slices]
    return marshal.dumps((prefix, [_values(pixels) for pixels in formats], rows))


def unpacked(content: bytes) -> tuple[SourceSlice, ...]:
    """Unpack slices."""
    prefix, packed_formats, rows = marshal.loads(content)  # noqa: S302  of this process
    formats = [PixelFormat(*values) for values in packed_formats]
    return tuple(_slice(row, prefix, formats) for row in rows)


def _row(source: SourceSlice, start: int, formats: dict[PixelFormat, int]) -> list[Any]:
    row = list(_values_of(source))
    row[_PATH] = source.path[start:]
    row[_PIXELS] = formats.setdefault(source.pixels, len(formats))
    return row


def _slice(row: list[Any], prefix: str, formats: Sequence[PixelFormat]) -> SourceSlice:
    row[_PATH] = prefix + row[_PATH]
    row[_PIXELS] = formats[row[_PIXELS]]
    return SourceSlice(*row)


def _values(pixels: PixelFormat) -> tuple[Any, ...]:
    return pixels.rows, pixels.columns, pixels.bits_stored, pixels.signed, pixels.padding
