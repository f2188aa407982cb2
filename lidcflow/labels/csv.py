"""Readings of a CSV file: one row for a nodule, or for a source slice of one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import zip_longest

from lidcflow.dicom.values import is_uid
from lidcflow.labels.readings import (
    CLASS_RATINGS,
    HIGHEST_RATING,
    LOWEST_RATING,
    Book,
    MarkedSlice,
    Origin,
    Problem,
    Reading,
    UnusedReason,
    is_rating,
)

SERIES, IMAGE, NODULE, READER = "series_instance_uid", "sop_instance_uid", "nodule", "reader"
MALIGNANCY, CLASS = "malignancy", "class"
Z, Z_TOP, Z_BOTTOM = "z_mm", "z_top_mm", "z_bottom_mm"
COLUMNS = (SERIES, IMAGE, Z, Z_TOP, Z_BOTTOM, READER, NODULE, MALIGNANCY, CLASS)

BEYOND = "beyond the header"
"""Key of what stands in cells that no column names."""


DELIMITERS = ",;\t"

SIMILAR = 0.8

STUDY = "study_instance_uid"
"""Often stands beside the series, and its name is nearly that of the image."""


class WrongRow(Exception):
    """A row that can't be used, or a header."""

    def __init__(self, reason: UnusedReason, sentence: str, *, part: str = "line 1") -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.sentence = sentence
        self.part = part


def parse_reading(cells: Mapping[str, str], origin: Origin) -> Reading | None:
    """Return the annotation of a row; None for a row that states that nothing was found.

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
        raise WrongRow(
            UnusedReason.MALFORMED, "a row must have no more cells than the header; quote cells that hold commas"
        )
    if not is_uid(cells[SERIES]):
        raise WrongRow(UnusedReason.MALFORMED, f"column {SERIES}: must be a UID, digits and dots, got something else")
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
        raise WrongRow(
            UnusedReason.NO_RATING, f"column {MALIGNANCY} or {CLASS} must be filled, got neither; rate the nodule"
        )
    if named and rated:
        raise WrongRow(UnusedReason.MALFORMED, f"one of the columns {MALIGNANCY} and {CLASS} must be filled; keep one")
    if named:
        if named not in CLASS_RATINGS:
            raise WrongRow(UnusedReason.RATING_OUT_OF_RANGE, f"column {CLASS}: must be benign or malignant; correct it")
        return CLASS_RATINGS[named]
    rating = _number(cells, MALIGNANCY)
    if not is_rating(rating):
        rule = f"must be {LOWEST_RATING:g} to {HIGHEST_RATING:g}, got {rating:g}"
        raise WrongRow(UnusedReason.RATING_OUT_OF_RANGE, f"column {MALIGNANCY}: {rule}; correct it")
    return rating


def _marks(cells: Mapping[str, str]) -> tuple[MarkedSlice, ...]:
    uid, has_z = cells.get(IMAGE, ""), bool(cells.get(Z))
    if uid and not is_uid(uid):
        raise WrongRow(UnusedReason.MALFORMED, f"column {IMAGE}: must be a UID, digits and dots, got something else")
    has_range = bool(cells.get(Z_TOP) or cells.get(Z_BOTTOM))
    if has_range == bool(uid or has_z):
        raise WrongRow(
            UnusedReason.MALFORMED,
            f"a row must say where the nodule is in one way, {IMAGE} or {Z}, or {Z_TOP} with {Z_BOTTOM}, "
            f"got {'both' if has_range else 'neither'}; correct it",
        )
    return () if has_range else (MarkedSlice(_number(cells, Z) if has_z else None, uid or None),)


def _range_mm(cells: Mapping[str, str]) -> tuple[float, float] | None:
    if not cells.get(Z_TOP) and not cells.get(Z_BOTTOM):
        return None
    top_mm, bottom_mm = _number(cells, Z_TOP), _number(cells, Z_BOTTOM)
    if top_mm <= bottom_mm:
        rule = f"must lie above {Z_BOTTOM} (z grows towards the head), got {top_mm:g} and {bottom_mm:g} mm"
        raise WrongRow(UnusedReason.MALFORMED, f"column {Z_TOP}: {rule}; correct it")
    return bottom_mm, top_mm


def _number(cells: Mapping[str, str], column: str) -> float:
    """Read a number; a cell that holds something else is not repeated, as it may be a name."""
    try:
        value = float(cells.get(column, ""))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise WrongRow(
            UnusedReason.MALFORMED, f"column {column}: must be a number such as 3.5, got something else; correct it"
        )
    return value


@dataclass(frozen=True, slots=True)
class _Row:
    reading: Reading
    line: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Key shared by the rows of one annotation; a row without a nodule stands alone."""
        reading = self.reading
        return reading.reader, reading.nodule_id or f"line {self.line}", reading.series_instance_uid

    @property
    def place(self) -> tuple[object, ...]:
        """Key that equal rows share."""
        reading = self.reading
        marks = tuple((mark.sop_instance_uid, mark.z_mm) for mark in reading.marks)
        return reading.series_instance_uid, reading.reader, reading.nodule_id, marks, reading.z_range_mm


def is_table(text: str) -> bool:
    """Return whether a text looks like a table of readings: its first line names the series."""
    return SERIES in text[:4096].partition("\n")[0].lower()


def read_csv(text: str, file: str) -> Book:
    """Read a table of readings.

    Parameters
    ----------
    text : str
        The file.
    file : str
        What it is called in problems.

    Returns
    -------
    Book
        Rows that can't be used are its problems; the others are read.
    """
    book = Book()
    try:
        lines = _lines(text)
    except WrongRow as wrong:
        book.problems.append(Problem(Origin("csv", file, wrong.part), wrong.reason, wrong.sentence))
        return book
    rows = [row for line, cells in lines if (row := _row(line, cells, file, book))]
    book.readings += _readings(rows, book)
    return book


def _lines(text: str) -> list[tuple[int, dict[str, str]]]:
    """Return the number of each line and its cells by column; of a file that breaks off, nothing is used."""
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_header(names)
        return [(reader.line_num, _by_column(names, cells)) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        sentence = f"the file must be CSV to its end, got {error}; correct the file, until then none of it is used"
        raise WrongRow(UnusedReason.MALFORMED, sentence, part=f"line {reader.line_num}") from None


def _by_column(names: list[str], cells: list[str]) -> dict[str, str]:
    filled = {name: cell.strip() for name, cell in zip_longest(names, cells, fillvalue="") if name in COLUMNS}
    return {**filled, BEYOND: "".join(cells[len(names) :]).strip()}


def _check_header(names: list[str]) -> None:
    if SERIES not in names:
        raise WrongRow(
            UnusedReason.MALFORMED, f"the first line must name the column {SERIES}, got no such column; add it"
        )
    if twice := next((name for name in COLUMNS if names.count(name) > 1), None):
        raise WrongRow(UnusedReason.MALFORMED, f"a column must be named once, got {twice} twice; rename one")
    for name in names:
        if name not in (*COLUMNS, STUDY) and (meant := get_close_matches(name, COLUMNS, n=1, cutoff=SIMILAR)):
            raise WrongRow(
                UnusedReason.MALFORMED, f"column {name!r} is unknown; write {meant[0]}, or name it otherwise"
            )
    if MALIGNANCY not in names and CLASS not in names:
        # Other tables name series too, and their rows must not be taken for "nothing was found".
        sentence = f"the first line must name the column {MALIGNANCY} or {CLASS}, got neither; add one, even if empty"
        raise WrongRow(UnusedReason.MALFORMED, sentence)


def _row(line: int, cells: Mapping[str, str], file: str, book: Book) -> _Row | None:
    origin = Origin("csv", file, f"line {line}")
    uid = cells[SERIES] if is_uid(cells[SERIES]) else None
    try:
        reading = parse_reading(cells, origin)
    except WrongRow as wrong:
        book.problems.append(Problem(origin, wrong.reason, wrong.sentence, uid))
        return None
    book.read.setdefault(cells[SERIES], origin)
    return _Row(reading, line) if reading else None


def _readings(rows: list[_Row], book: Book) -> Iterator[Reading]:
    """Join the rows of each annotation; drop duplicates."""
    groups: dict[tuple[str, str, str], list[_Row]] = {}
    seen: dict[tuple[object, ...], _Row] = {}
    for row in rows:
        first = seen.setdefault(row.place, row)
        if first is not row and first.reading.malignancy == row.reading.malignancy:
            sentence = f"a row must not repeat another, got the same as line {first.line}; it counts once"
            book.problems.append(_problem(row, UnusedReason.DUPLICATE, sentence))
            continue
        groups.setdefault(first.key if first is not row else row.key, []).append(row)
    for group in groups.values():
        yield from _joined(group, book)


def _joined(rows: list[_Row], book: Book) -> Iterator[Reading]:
    first, *more = rows
    if other := next((row for row in more if row.reading.malignancy != first.reading.malignancy), None):
        sentence = (
            f"a reader must rate a nodule once, got {other.reading.malignancy:g} here and "
            f"{first.reading.malignancy:g} in line {first.line}; keep one, or name the reader of each"
        )
        book.problems.append(_problem(other, UnusedReason.RATINGS_DIFFER, sentence))
        return
    if more and any(row.reading.z_range_mm for row in rows):
        sentence = f"a reader must give one range of a nodule, got another in line {first.line}; join them"
        book.problems.append(_problem(more[0], UnusedReason.MALFORMED, sentence))
        return
    yield replace(first.reading, marks=tuple(mark for row in rows for mark in row.reading.marks))


def _problem(row: _Row, reason: UnusedReason, sentence: str) -> Problem:
    return Problem(row.reading.origin, reason, sentence, row.reading.series_instance_uid)
