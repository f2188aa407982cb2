"""Read the pixels of a slice as they lie in its file, still encoded: bounded memory, no decoder."""

from __future__ import annotations

import os
import zlib
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

from lidcflow.config import Access
from lidcflow.dicom.elements import inflated, read_syntax
from lidcflow.dicom.frames import joined_items
from lidcflow.dicom.records import SourceSlice, VerdictReason
from lidcflow.dicom.syntaxes import SYNTAXES, PixelLayout
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.open import as_it_came, compressed_bytes, slice_opener
from lidcflow.source.location import OnDisk, location_of
from lidcflow.source.versions import version_of

CHUNK_BYTES = 2**14
"""Bytes of a deflated data set that are inflated at a time, to at most 16 MB."""

MOST_MARKS = 64
"""Places from which a deflated multi-frame object is inflated again; each takes about 50 KB."""


class InflatePoint(NamedTuple):
    """A place in a deflated data set from which inflation can go on."""

    inflated_bytes: int
    file_offset: int
    inflater: Any


def raw_pixels(source: SourceSlice, access: Access) -> bytes:
    """Read the pixels of a slice, not decoded.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.
    access : Access
        How buckets are reached.

    Raises
    ------
    SeriesRefused
        If they are cut short or damaged, or the file changed.
    OSError
        If the file can't be read.
    """
    with slice_opener([source], access) as opened, opened(source) as file:
        source = as_it_came(file, source)
        layout = SYNTAXES[source.transfer_syntax_uid].layout
        if layout is PixelLayout.ENCAPSULATED:
            return encoded_frame(file, source)
        if layout is PixelLayout.DEFLATED:
            return inflated_pixels(file, source)
        file.seek(source.pixel_offset)
        return file.read(source.pixels.n_bytes)


def encoded_frame(file: BinaryIO, source: SourceSlice) -> bytes:
    """Read the frame of an encapsulated slice.

    Parameters
    ----------
    file : binary stream
        The file.
    source : SourceSlice
        As found by the index.

    Raises
    ------
    SeriesRefused
        If the file is cut short or damaged.

    References
    ----------
    DICOM PS3.5 section A.4.
    """
    file.seek(source.pixel_offset)
    content = file.read(compressed_bytes(source))
    try:
        return joined_items(content, tables=1 if source.frame_number is None else 0)
    except EOFError:
        raise cut_short(source) from None
    except ValueError as error:
        raise damaged(source, str(error)) from None


def inflated_pixels(file: BinaryIO, source: SourceSlice) -> bytes:
    """Read the pixels of a slice in a deflated data set.

    Parameters
    ----------
    file : binary stream
        The file.
    source : SourceSlice
        As found by the index.

    Raises
    ------
    SeriesRefused
        If the file is cut short or damaged.

    References
    ----------
    DICOM PS3.5 section A.5.
    """
    try:
        if source.frame_number is None:
            read_syntax(file)
            content = inflated(file, source.pixel_offset + source.pixels.n_bytes)[source.pixel_offset :]
        else:
            content = _inflated_frame(file, source)
    except zlib.error:
        raise damaged(source, "a deflated data set that is damaged") from None
    if len(content) < source.pixels.n_bytes:
        raise cut_short(source)
    return content


def _inflated_frame(file: BinaryIO, source: SourceSlice) -> bytes:
    """Inflate from the last mark before a frame: from the start, every frame would cost the whole object."""
    start, n_bytes = source.pixel_offset, source.pixels.n_bytes
    on_disk = isinstance(location_of(source.path), OnDisk)
    marks = _marks_of(file, source) if on_disk else [_start_mark(file)]
    mark = max((mark for mark in marks if mark.inflated_bytes <= start), key=lambda mark: mark.inflated_bytes)
    inflater, at, frame = mark.inflater.copy(), mark.inflated_bytes, bytearray()
    file.seek(mark.file_offset)
    while len(frame) < n_bytes and (chunk := file.read(CHUNK_BYTES)):
        piece = inflater.decompress(chunk)
        frame += piece[max(start - at, 0) :][: n_bytes - len(frame)]
        at += len(piece)
    return bytes(frame)


def _marks_of(file: BinaryIO, source: SourceSlice) -> list[InflatePoint]:
    return _marks(source.path, source.file_bytes, version_of(os.fstat(file.fileno())))


@lru_cache(maxsize=1)  # slices of one deflated file follow each other; the version tells a file that was exchanged
def _marks(path: str, file_bytes: int, _version: str) -> list[InflatePoint]:
    """Inflate a data set once in each version of its file, and mark places of even distance in the file."""
    every = file_bytes // MOST_MARKS
    with open(path, "rb") as file:
        marks = [_start_mark(file)]
        inflater, inflated_bytes = marks[0].inflater.copy(), 0
        while chunk := file.read(CHUNK_BYTES):
            inflated_bytes += len(inflater.decompress(chunk))
            if file.tell() >= marks[-1].file_offset + every:
                marks.append(InflatePoint(inflated_bytes, file.tell(), inflater.copy()))
    return marks


def _start_mark(file: BinaryIO) -> InflatePoint:
    """Mark where the data set starts, and leave the file there."""
    read_syntax(file)
    return InflatePoint(0, file.tell(), zlib.decompressobj(-zlib.MAX_WBITS))


def cut_short(source: SourceSlice) -> SeriesRefused:
    """Make the refusal of compressed pixels that end too early."""
    sentence = f"instance {source.sop_instance_uid}: compressed pixels must be whole, got a part; copy the file again"
    return SeriesRefused(VerdictReason.TRUNCATED, sentence)


def damaged(source: SourceSlice, found: str) -> SeriesRefused:
    """Make the refusal of compressed pixels that make no sense."""
    sentence = f"instance {source.sop_instance_uid}: compressed pixels must be sound, got {found}; copy the file again"
    return SeriesRefused(VerdictReason.UNREADABLE, sentence)
