"""Geometry of the page's curve: probability against z, the top of the chest at the top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from lidcflow.report.recommendation import Recommendation, SliceRange, SliceReading, VolumeFacts
from lidcflow.report.wording import number, percent

WIDTH = 1000
"""Units of the drawing across; a slice is one unit high."""

AXIS_ENDS = (0.1, 0.2, 0.4, 0.6, 1.0)
MOST_LABELLED_SECTORS = 13
MARK_DISTANCE = 0.14
"""Closest that two range marks of a column may lie, as a share of the height: 22 px of 160 px, as on a phone."""

MARK_COLUMNS = 3
MARK_COLUMN_PX = 24
"""Columns of marks, and their distance: marks of close ranges lie beside each other."""


@dataclass(frozen=True)
class AxisLabel:
    """A label at a share of the drawing's height or width, in percent."""

    at: float
    label: str


@dataclass(frozen=True)
class Band:
    """A recommended range: its first unit, its height, and where its mark goes (percent down, px across)."""

    rank: int
    top: int
    height: int
    mark_at: float
    mark_across_px: int


@dataclass(frozen=True)
class Sector:
    """A sector: its first unit, its height, and whether there is room for its name."""

    number: int
    top: int
    height: int
    labelled: bool


@dataclass(frozen=True)
class Line:
    """A piece of a curve: its points, and the units where it begins and ends; blank slices interrupt the curve."""

    points: str
    top: int
    bottom: int


@dataclass(frozen=True)
class Curve:
    """The contents of the drawing, in units of `WIDTH` by the number of slices."""

    slices: int
    axis_end: float
    nodule: tuple[Line, ...]
    malignant: tuple[Line, ...]
    threshold_at: float
    bands: tuple[Band, ...]
    sectors: tuple[Sector, ...]
    slice_marks: tuple[AxisLabel, ...]
    z_marks: tuple[AxisLabel, ...]
    probability_marks: tuple[AxisLabel, ...]


def curve_of(recommendation: Recommendation, volume: VolumeFacts) -> Curve:
    """Lay out the curve of a recommendation that has slices.

    Parameters
    ----------
    recommendation : Recommendation
        With verdict ``ranges`` or ``nothing-above-threshold``.
    volume : VolumeFacts
        Its volume, for the position of slices along z.

    Returns
    -------
    Curve
    """
    slices, threshold = recommendation.slices, recommendation.release.threshold_nodule
    axis_end = _axis_end([threshold, *(one.probabilities.nodule for one in slices)])
    return Curve(
        slices=len(slices),
        axis_end=axis_end,
        nodule=tuple(_line(run, [one.probabilities.nodule / axis_end for one in run]) for run in _read_runs(slices)),
        malignant=tuple(
            _line(run, [one.probabilities.malignant / axis_end for one in run]) for run in _read_runs(slices)
        ),
        threshold_at=100 * threshold / axis_end,
        bands=_bands(recommendation.ranges, len(slices)),
        sectors=_sectors(slices),
        slice_marks=tuple(
            AxisLabel(100 * (n - 0.5) / len(slices), str(n))
            for n in (1, *range(10, len(slices), _slice_step(len(slices))))
        ),
        z_marks=_z_marks(volume),
        probability_marks=tuple(AxisLabel(25.0 * quarter, percent(axis_end * quarter / 4)) for quarter in (0, 2, 4)),
    )


def _axis_end(probabilities: Iterable[float]) -> float:
    """Choose a round end, so that a study of small probabilities still shows its shape."""
    highest = max(probabilities)
    return next(end for end in AXIS_ENDS if highest <= end)


def _read_runs(slices: Sequence[SliceReading]) -> list[list[SliceReading]]:
    """Divide slices into runs between blank ones."""
    return [list(run) for blank, run in groupby(slices, key=lambda one: one.blank) if not blank]


def _line(run: Sequence[SliceReading], shares: Sequence[float]) -> Line:
    """Join the slices' middles, with the first and last drawn to the edges."""
    top = run[0].slice_number - 1
    bottom = top + len(run)
    middles = [(share, top + k + 0.5) for k, share in enumerate(shares)]
    line = [(shares[0], float(top)), *middles, (shares[-1], float(bottom))]
    return Line(" ".join(f"{WIDTH * share:.1f},{y:g}" for share, y in line), top, bottom)


def _bands(ranges: Sequence[SliceRange], n_slices: int) -> tuple[Band, ...]:
    downwards = sorted(ranges, key=lambda one: one.first_slice)
    marks = _marks([(one.first_slice - 1 + one.last_slice) / 2 / n_slices for one in downwards])
    return tuple(
        Band(one.rank, one.first_slice - 1, one.last_slice - one.first_slice + 1, 100 * down, MARK_COLUMN_PX * column)
        for one, (down, column) in zip(downwards, marks, strict=True)
    )


def _marks(middles: Sequence[float]) -> list[tuple[float, int]]:
    """Place marks of ascending shares: each in the first column with room beside it, else in the emptiest."""
    columns: list[list[float]] = [[] for _ in range(MARK_COLUMNS)]
    chosen: list[tuple[int, int]] = []
    for middle in middles:
        free = (k for k, column in enumerate(columns) if not column or middle - column[-1] >= MARK_DISTANCE)
        k = next(free, min(range(MARK_COLUMNS), key=lambda k: len(columns[k])))
        chosen.append((k, len(columns[k])))
        columns[k].append(middle)
    placed = [_apart(column) for column in columns]
    return [(placed[k][at], k) for k, at in chosen]


def _apart(middles: Sequence[float]) -> list[float]:
    """Move ascending shares apart, downwards where there is room and upwards at the end."""
    distance = min(MARK_DISTANCE, 1 / max(1, len(middles)))
    moved: list[float] = []
    for middle in middles:
        moved.append(max(middle, moved[-1] + distance) if moved else middle)
    last = len(moved) - 1
    return [min(mark, 1 - (last - k) * distance) for k, mark in enumerate(moved)]


def _sectors(slices: Iterable[SliceReading]) -> tuple[Sector, ...]:
    runs = [(sector, list(run)) for sector, run in groupby(slices, key=lambda one: one.sector)]
    step = ceil(len(runs) / MOST_LABELLED_SECTORS)
    return tuple(
        Sector(sector, run[0].slice_number - 1, len(run), labelled=k % step == 0)
        for k, (sector, run) in enumerate(runs)
    )


def _slice_step(n_slices: int) -> int:
    return 10 * ceil(n_slices / 100)


def _z_marks(volume: VolumeFacts) -> tuple[AxisLabel, ...]:
    """Mark round millimetres, about six of them."""
    extent_mm = volume.z_top_mm - volume.z_bottom_mm
    step_mm = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 10_000) if extent_mm / step <= 8)
    first_mm = step_mm * int(volume.z_top_mm // step_mm)
    heights_mm = range(first_mm, ceil(volume.z_bottom_mm) - 1, -step_mm)
    return tuple(AxisLabel(100 * (volume.z_top_mm - z) / extent_mm, number(z, 0)) for z in heights_mm)
