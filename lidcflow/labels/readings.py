"""The common table of annotations from every source, and the problems of rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0

CLASS_RATINGS = {"benign": LOWEST_RATING, "malignant": HIGHEST_RATING}
"""A class counts as the rating at its end, so that classes and ratings of one nodule have a mean."""

REPORT_COLUMNS = ("kind", "file", "row", "reason", "series_instance_uid", "sentence")


class UnusedReason(StrEnum):
    """The reason why a row of the table, or a file, is not used."""

    MALFORMED = "malformed"
    UNREADABLE = "unreadable"
    OTHER_MESSAGE = "other-message"
    DUPLICATE = "duplicate"
    NO_RATING = "no-rating"
    RATING_OUT_OF_RANGE = "rating-out-of-range"
    RATINGS_DIFFER = "ratings-differ"
    NO_SEGMENT = "no-segment"
    NOT_READ = "not-read"
    UNKNOWN_SERIES = "unknown-series"
    UNKNOWN_IMAGE = "unknown-image"
    Z_OUTSIDE = "z-outside"
    Z_DIFFERS = "z-differs"
    OUTSIDE_IMAGE = "outside-image"


HARMLESS = frozenset({UnusedReason.OTHER_MESSAGE, UnusedReason.DUPLICATE, UnusedReason.UNKNOWN_SERIES})
"""Nothing is lacking without such a row; without any other, a nodule would be taken for none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a row, without a path: paths may hold a patient's name.

    Parameters
    ----------
    kind : str
        ``lidc``, ``xml``, ``csv``, ``seg`` or ``sr``; ``store`` for a volume that nothing is said of, ``folder`` and
        ``file`` for what can't be looked into.
    file : str
        Name of a CSV file that was asked for, SOPInstanceUID of a DICOM file, else a number and a hash.
    part : str
        Line, segment or measurement group.
    """

    kind: str
    file: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.file}, {self.part}" if self.part else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """A row, or a file, that is not used; `series_instance_uid` is None where nobody knows the series."""

    origin: Origin
    reason: UnusedReason
    sentence: str
    series_instance_uid: str | None = None

    @property
    def row(self) -> tuple[str, str, str, str, str, str]:
        """The problem as a line of the report, see `REPORT_COLUMNS`."""
        origin = self.origin
        return origin.kind, origin.file, origin.part, str(self.reason), self.series_instance_uid or "", self.sentence

    @property
    def spoils(self) -> str | None:
        """The series that is not read whole without this row."""
        return None if self.reason in HARMLESS else self.series_instance_uid


@dataclass(frozen=True, slots=True, eq=False)
class MarkedSlice:
    """A source slice that a reading touches.

    Parameters
    ----------
    z_mm : float, optional
        Position of the slice; None where only the image is named and the position is still to be looked up.
    sop_instance_uid : str, optional
        The image.
    inclusion : bool
        Whether the area inside the outline belongs to the nodule; otherwise it is a hole.
    points : (n_points, 2) array of int64, optional
        Outline as image indices (row, column).
    matrix : tuple of 2 ints, optional
        Rows and columns of the grid that the outline lies on, where that may be another than the image's.
    """

    z_mm: float | None = None
    sop_instance_uid: str | None = None
    inclusion: bool = True
    points: NDArray[np.int64] | None = None
    matrix: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One reader's mark of one nodule.

    Parameters
    ----------
    series_instance_uid : str
        The series that was read.
    malignancy : float
        Rating, 1 to 5.
    origin : Origin
        Where it comes from.
    marks : tuple of MarkedSlice
        Source slices; each covers its position and half a slice spacing to each side.
    z_range_mm : tuple of 2 floats, optional
        Lowest and highest z, where the reader gave a range instead.
    reader : str
        Who read; empty where nobody knows. Never printed.
    nodule_id : str
        Readings with the same one mean the same nodule; empty where nobody knows.
    """

    series_instance_uid: str
    malignancy: float
    origin: Origin
    marks: tuple[MarkedSlice, ...] = ()
    z_range_mm: tuple[float, float] | None = None
    reader: str = ""
    nodule_id: str = ""

    @property
    def is_outlined(self) -> bool:
        """Whether every mark has an outline, so that readings can be distinguished within a slice."""
        return bool(self.marks) and all(mark.points is not None for mark in self.marks)

    def covered_mm(self, h_mm: float) -> list[tuple[float, float]]:
        """Return the stretches along z, lowest and highest of each, that the nodule lies in."""
        if self.z_range_mm:
            return [self.z_range_mm]
        marks_mm = {mark.z_mm for mark in self.marks if mark.inclusion and mark.z_mm is not None}
        return [(z_mm - h_mm, z_mm + h_mm) for z_mm in sorted(marks_mm)]


@dataclass(frozen=True, slots=True, eq=False)
class Nodule:
    """Readings that mean the same nodule."""

    readings: tuple[Reading, ...]

    @property
    def malignancy(self) -> float:
        """Mean malignancy rating, 1 to 5."""
        return sum(reading.malignancy for reading in self.readings) / len(self.readings)

    def covered_mm(self, h_mm: float) -> NDArray[np.float64]:
        """Return the (n, 2) stretches along z, lowest and highest of each, that any reading covers."""
        stretches = {stretch for reading in self.readings for stretch in reading.covered_mm(h_mm)}
        return np.array(sorted(stretches), dtype=np.float64).reshape(-1, 2)


@dataclass
class Book:
    """Annotations from the files of one kind in one source.

    Parameters
    ----------
    readings : list of Reading
        Not yet matched to images.
    read : dict of str to Origin
        Series that somebody read, with or without finding a nodule, and where that is said.
    problems : list of Problem
        Rows and files that can't be used.
    small : int
        Nodules that readers marked and did not rate, as LIDC-IDRI asks for those below 3 mm; no readings.
    """

    readings: list[Reading] = field(default_factory=list)
    read: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    small: int = 0

    def add(self, other: Book) -> None:
        """Add the annotations of another book of the same kind."""
        self.readings += other.readings
        self.read = other.read | self.read
        self.problems += other.problems
        self.small += other.small


def spoiled(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Return the series that can't be used as they are, each with its problems."""
    by_series: dict[str, list[Problem]] = {}
    for problem in problems:
        if uid := problem.spoils:
            by_series.setdefault(uid, []).append(problem)
    return by_series


def is_rating(value: float) -> bool:
    """Return whether a number is a malignancy rating."""
    return LOWEST_RATING <= value <= HIGHEST_RATING
