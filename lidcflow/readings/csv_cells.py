"""The cells of one row of a CSV file of readings."""

from __future__ import annotations

from collections.abc import Mapping

from lidcflow.ct.values import is_uid
from lidcflow.readings.table import (
    CLASS_RATINGS,
    HIGHEST_RATING,
    LOWEST_RATING,
    Mark,
    Origin,
    Reading,
    Reason,
    is_rating,
)

SERIES, IMAGE, NODULE, READER = "series_instance_uid", "sop_instance_uid", "nodule", "reader"
MALIGNANCY, CLASS = "malignancy", "class"
Z, Z_TOP, Z_BOTTOM = "z_mm", "z_top_mm", "z_bottom_mm"
COLUMNS = (SERIES, IMAGE, Z, Z_TOP, Z_BOTTOM, READER, NODULE, MALIGNANCY, CLASS)

BEYOND = "beyond the header"
"""Key of what stands in cells that no column names."""


class WrongRow(Exception):
    """A row that can't be used, or a header."""

    def __init__(self, reason: Reason, sentence: str, *, part: str = "line 1") -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.sentence = sentence
        self.part = part


def reading_of(cells: Mapping[str, str], origin: Origin) -> Reading | None:
    """Return the reading of a row; None for a row that says that nothing was found.

    Parameters
    ----------
    cells : mapping of str to str
        Cells by column.
    origin : Origin
        Where the row is.

    Raises
    ------
    WrongRow
        If the row can't be used.
    """
    if cells.get(BEYOND):
        raise WrongRow(Reason.MALFORMED, "a row must have no more cells than the header; quote cells that hold commas")
    if not is_uid(cells[SERIES]):
        raise WrongRow(Reason.MALFORMED, f"column {SERIES}: must be a UID, digits and dots, got something else")
    if not any(cells.get(name) for name in COLUMNS if name not in (SERIES, READER)):
        return None
    return Reading(
        series_instance_uid=cells[SERIES],
        malignancy=_rating(cells),
        origin=origin,
        marks=_marks(cells),
        z_range_mm=_range_mm(cells),
        reader=cells.get(READER, ""),
        nodule_id=cells.get(NODULE, ""),
    )


def _rating(cells: Mapping[str, str]) -> float:
    named, rated = cells.get(CLASS, "").lower(), cells.get(MALIGNANCY, "")
    if not named and not rated:
        raise WrongRow(Reason.NO_RATING, f"column {MALIGNANCY} or {CLASS} must be filled, got neither; rate the nodule")
    if named and rated:
        raise WrongRow(Reason.MALFORMED, f"one of the columns {MALIGNANCY} and {CLASS} must be filled; keep one")
    if named:
        if named not in CLASS_RATINGS:
            raise WrongRow(Reason.RATING_OUT_OF_RANGE, f"column {CLASS}: must be benign or malignant; mend it")
        return CLASS_RATINGS[named]
    rating = _number(cells, MALIGNANCY)
    if not is_rating(rating):
        rule = f"must be {LOWEST_RATING:g} to {HIGHEST_RATING:g}, got {rating:g}"
        raise WrongRow(Reason.RATING_OUT_OF_RANGE, f"column {MALIGNANCY}: {rule}; mend it")
    return rating


def _marks(cells: Mapping[str, str]) -> tuple[Mark, ...]:
    uid, has_z = cells.get(IMAGE, ""), bool(cells.get(Z))
    if uid and not is_uid(uid):
        raise WrongRow(Reason.MALFORMED, f"column {IMAGE}: must be a UID, digits and dots, got something else")
    has_range = bool(cells.get(Z_TOP) or cells.get(Z_BOTTOM))
    if has_range == bool(uid or has_z):
        raise WrongRow(
            Reason.MALFORMED,
            f"a row must say where the nodule is in one way, {IMAGE} or {Z}, or {Z_TOP} with {Z_BOTTOM}, "
            f"got {'both' if has_range else 'neither'}; mend it",
        )
    return () if has_range else (Mark(_number(cells, Z) if has_z else None, uid or None),)


def _range_mm(cells: Mapping[str, str]) -> tuple[float, float] | None:
    if not cells.get(Z_TOP) and not cells.get(Z_BOTTOM):
        return None
    top_mm, bottom_mm = _number(cells, Z_TOP), _number(cells, Z_BOTTOM)
    if top_mm <= bottom_mm:
        rule = f"must lie above {Z_BOTTOM} (z grows towards the head), got {top_mm:g} and {bottom_mm:g} mm"
        raise WrongRow(Reason.MALFORMED, f"column {Z_TOP}: {rule}; mend it")
    return bottom_mm, top_mm


def _number(cells: Mapping[str, str], column: str) -> float:
    """Read a number; a cell that holds something else is not repeated, as it may be a name."""
    try:
        value = float(cells.get(column, ""))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise WrongRow(Reason.MALFORMED, f"column {column}: must be a number such as 3.5, got something else; mend it")
    return value
