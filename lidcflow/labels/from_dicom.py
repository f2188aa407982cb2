"""Readings of DICOM files: reports, with the segmentations that they refer to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import dcmread

from lidcflow.dicom.quiet import quiet
from lidcflow.labels.readings import Book, Origin, Problem, UnusedReason
from lidcflow.labels.seg import Segment, read_segments
from lidcflow.labels.sr import named_by_shared_ids, read_report


def read_dicom(files: Sequence[Path], on_file: Callable[[], None] = lambda: None) -> Book:
    """Read every segmentation, then every report.

    Parameters
    ----------
    files : sequence of Path
        DICOM files; images and other objects are passed over.
    on_file : callable
        Called after each file.

    Returns
    -------
    Book
        Its problems tell of files that can't be read, and of segments that no report rates.
    """
    book = Book()
    reports: list[tuple[Path, str]] = []
    segments: dict[tuple[str, int], Segment] = {}
    for file in files:
        modality, uid = _kind(file)
        if modality == "SEG":
            segments.update(_segments(file, uid, book))
        elif modality == "SR":
            reports.append((file, uid))
        on_file()
    rated: set[tuple[str, int]] = set()
    for file, uid in reports:
        rated |= _report(file, uid, segments, book)
    told = sorted(key for key, segment in segments.items() if key not in rated and not segment.is_anatomy)
    book.problems += [_unrated(segments[key]) for key in told]
    book.readings = named_by_shared_ids(book.readings)
    return book


def _kind(file: Path) -> tuple[str, str]:
    """Return modality and SOPInstanceUID; empty where the file can't be read that far."""
    try:
        with quiet():
            head = dcmread(file, stop_before_pixels=True, specific_tags=["Modality", "SOPInstanceUID"])
        return str(head.get("Modality", "")), str(head.get("SOPInstanceUID", ""))
    except Exception:
        return "", ""


def _segments(file: Path, uid: str, book: Book) -> dict[tuple[str, int], Segment]:
    """Read one segmentation; a broken file can make pydicom raise anything, so anything is caught."""
    try:
        return {(segment.segmentation_uid, segment.number): segment for segment in read_segments(file)}
    except Exception as error:
        book.problems.append(_unreadable("seg", uid, error))
        return {}


def _report(file: Path, uid: str, segments: dict[tuple[str, int], Segment], book: Book) -> set[tuple[str, int]]:
    try:
        read, rated = read_report(file, segments)
    except Exception as error:
        book.problems.append(_unreadable("sr", uid, error))
        return set()
    book.add(read)
    return set(rated)


def _unreadable(kind: str, uid: str, error: Exception) -> Problem:
    """Describe a file by the kind of error alone: its text may repeat values of the header."""
    what = "a DICOM Segmentation" if kind == "seg" else "a Structured Report"
    sentence = f"must be {what} that can be read, got {type(error).__name__}; export it again"
    return Problem(Origin(kind, uid), UnusedReason.MALFORMED, sentence)


def _unrated(segment: Segment) -> Problem:
    sentence = "a segment must be rated by a measurement group that refers to it, got no rating; add the report"
    origin = Origin("seg", segment.segmentation_uid, f"segment {segment.number}")
    return Problem(origin, UnusedReason.NO_RATING, sentence, segment.series_instance_uid)
