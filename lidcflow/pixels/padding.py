"""Excess padding: pixel data that are longer than the pixels, with nothing but filling at their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from lidcflow.config import Access
from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import excess_bytes, series_refusal
from lidcflow.headers.header import Header
from lidcflow.source.location import InBucket, InPacs, OnDisk, location_of, open_at

EXCESS = "excess-padding"
"""Flag of a series whose pixel data are longer than its pixels."""


def excess_flags(headers: Sequence[Header], access: Access) -> list[str]:
    """Return the flag of series with excess padding; refuse excess that is more than filling.

    More than filling would be lost, or shows that Rows or Columns are wrong. The excess is read, of the few files
    that have any; of a PACS it is checked when the pixels come.

    Parameters
    ----------
    headers : sequence of Header
        Slices.
    access : Access
        How buckets are reached.

    Raises
    ------
    SeriesRefused
        If the excess is not one value repeated, or can't be read.

    References
    ----------
    DICOM PS3.5 section 8.1.1: readers should accept excess padding.
    """
    longer = [header for header in headers if excess_bytes(header)]
    for header in longer:
        location = location_of(header.path)
        if not isinstance(location, InPacs):
            _check(location, header, headers, access)
    return [EXCESS] if longer else []


def check_excess(file: BinaryIO, header: Header, headers: Sequence[Header]) -> None:
    """Refuse excess of one instance that is not one value repeated.

    Parameters
    ----------
    file : binary stream
        The instance as a file.
    header : Header
        Its header, or that of the frame.
    headers : sequence of Header
        Those of the series, for the sentence.

    Raises
    ------
    SeriesRefused
        If it is not.
    """
    pixels, excess = header.facts.pixels, excess_bytes(header)
    if pixels is None or not excess:
        return
    file.seek((header.pixel_offset or 0) + pixels.n_bytes)
    tail = file.read(excess)
    if tail != (tail[:2] * (excess // 2 + 1))[: len(tail)]:
        sentence = (
            f"pixel data must be as long as the pixels, or padded with one value, got {header.pixel_bytes} bytes for "
            f"{pixels.rows} x {pixels.columns} pixels with other values after the first {pixels.n_bytes} bytes in "
            f"instance {header.sop_instance_uid}; export the series again, Rows or Columns may be wrong"
        )
        raise series_refusal(headers, VerdictReason.UNSUPPORTED_PIXELS, sentence)


def _check(location: OnDisk | InBucket, header: Header, headers: Sequence[Header], access: Access) -> None:
    try:
        with open_at(location, access, header.file_bytes) as file:
            check_excess(file, header, headers)
    except OSError as error:
        sentence = (
            f"instance {header.sop_instance_uid}: pixel data that are longer than the pixels must be readable, "
            f"got {type(error).__name__}; check the file"
        )
        raise series_refusal(headers, VerdictReason.UNREADABLE, sentence) from None
