"""Read the header of a JPEG frame strictly, and leave out what its decoder does not need.

GDCM ends the whole process on headers that its JPEG library merely warns of, such as an unknown revision of JFIF.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import numpy as np

START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
LOSSLESS_FRAME, LS_FRAME = 0xC3, 0xF7
HUFFMAN_TABLES, SCAN, RESTART_INTERVAL = 0xC4, 0xDA, 0xDD
FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), LS_FRAME}) - {HUFFMAN_TABLES, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
TAIL_BYTES = 16
"""Range in which the end marker is searched: writers pad with more than the one byte of the standard."""

_MARKER = re.compile(rb"\xff+[\x01-\xfe]")
_MARKER_BUT_RESTARTS = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")


class MarkerSegment(NamedTuple):
    """A marker and what follows its length."""

    marker: int
    body: bytes


class FrameHeader(NamedTuple):
    """The frame header's description of the image."""

    precision: int
    rows: int
    columns: int
    components: int


def sound_lossless(frame: bytes, rows: int, columns: int) -> bytes:
    """Check a JPEG Lossless frame, and keep of it the image alone.

    Parameters
    ----------
    frame : bytes
        As found, up to the padding.
    rows, columns : int
        Size that the image must have.

    Returns
    -------
    bytes
        Tables, frame header and one scan.

    Raises
    ------
    EOFError
        If the frame ends before its image does.
    ValueError
        If the image is of another kind or size, or markers are where values should be.

    References
    ----------
    ITU-T T.81 B.2 and H.1; DICOM PS3.5 section 8.2.1.
    """
    segments, data_offset = _header_segments(frame)
    _check_image(_frame_header(segments, LOSSLESS_FRAME), rows, columns)
    _check_scan(segments)
    restarts = any(segment.marker == RESTART_INTERVAL for segment in segments)
    end = _end_of_values(frame, data_offset, restarts)
    # Application segments go: GDCM ends the whole process on some that its JPEG library merely warns of, as on an
    # unknown revision of JFIF.
    kept = {LOSSLESS_FRAME, HUFFMAN_TABLES, SCAN, RESTART_INTERVAL}
    header = b"".join(_written(segment) for segment in segments if segment.marker in kept)
    return START_OF_IMAGE + header + frame[data_offset:end] + END_OF_IMAGE


def sound_ls(frame: bytes, rows: int, columns: int) -> bytes:
    """Check a JPEG-LS frame.

    Parameters
    ----------
    frame : bytes
        As found, up to the padding.
    rows, columns : int
        Size that the image must have.

    Returns
    -------
    bytes
        The frame.

    Raises
    ------
    EOFError
        If the frame ends before its image does.
    ValueError
        If the image is of another kind or size.

    References
    ----------
    ITU-T T.87 C.2; DICOM PS3.5 section 8.2.3.
    """
    segments, _ = _header_segments(frame)
    _check_image(_frame_header(segments, LS_FRAME), rows, columns)
    if END_OF_IMAGE not in frame[-TAIL_BYTES:]:
        raise EOFError
    return frame


def _header_segments(frame: bytes) -> tuple[list[MarkerSegment], int]:
    """Read the segments up to the scan header, and the offset of what follows it."""
    if not frame.startswith(START_OF_IMAGE):
        raise ValueError("no JPEG image")
    segments: list[MarkerSegment] = []
    at = len(START_OF_IMAGE)
    while at + 4 <= len(frame):
        fill, marker, length = struct.unpack_from(">BBH", frame, at)
        if fill == marker == 0xFF:
            at += 1
            continue
        if fill != 0xFF or marker in WITHOUT_LENGTH or length < 2:
            raise ValueError("a JPEG image with a damaged header")
        segments.append(MarkerSegment(marker, frame[at + 4 : at + 2 + length]))
        at += 2 + length
        if marker == SCAN and at <= len(frame):
            return segments, at
    raise EOFError


def _frame_header(segments: list[MarkerSegment], marker: int) -> FrameHeader:
    headers = [segment for segment in segments if segment.marker in FRAME_MARKERS]
    if [header.marker for header in headers] != [marker]:
        found = " ".join(f"FF{header.marker:02X}" for header in headers[:4]) or "none"
        raise ValueError(f"a JPEG image of another process, frame header {found} for FF{marker:02X}")
    if len(headers[0].body) < 6:
        raise ValueError("a JPEG image with a damaged header")
    return FrameHeader(*struct.unpack_from(">BHHB", headers[0].body))


def _check_image(header: FrameHeader, rows: int, columns: int) -> None:
    if header[1:] != (rows, columns, 1):
        found = " x ".join(map(str, header[1:]))
        raise ValueError(f"an image of {found} for {rows} x {columns} pixels")
    if not 8 < header.precision <= 16:
        raise ValueError(f"an image of {header.precision} bits")


def _check_scan(segments: list[MarkerSegment]) -> None:
    """Check that the one scan is lossless: predictor 1 to 7, all else 0 but its table and the point transform."""
    (frame,) = (segment.body for segment in segments if segment.marker == LOSSLESS_FRAME)
    scan = segments[-1].body
    if len(frame) != 9 or len(scan) != 6 or scan[:2] != bytes([1, frame[6]]):
        raise ValueError("a JPEG image with a damaged header")
    table, predictor, end, transform = scan[2:]
    if table & 0x0F or table >> 4 > 3 or not 1 <= predictor <= 7 or end or transform >= frame[0]:
        raise ValueError("a JPEG image whose scan is not lossless")


def _end_of_values(frame: bytes, start: int, restarts: bool) -> int:
    """Return where the end marker is, if no other marker comes before it.

    Nearly always every FF up to the end is one of the values, followed by 00: looking at them all at once takes a
    twentieth of the time of the search.
    """
    end = frame.rfind(END_OF_IMAGE, start)
    if end >= 0:
        values = np.frombuffer(frame, np.uint8, end + 1 - start, start)
        if not ((values[:-1] == 0xFF) & (values[1:] != 0)).any():
            return end
    marker = (_MARKER_BUT_RESTARTS if restarts else _MARKER).search(frame, start)
    if marker is None:
        raise EOFError
    if not marker.group().endswith(END_OF_IMAGE[1:]):
        raise ValueError("a JPEG image with a marker among its values")
    return marker.start()


def _written(segment: MarkerSegment) -> bytes:
    return struct.pack(">BBH", 0xFF, segment.marker, 2 + len(segment.body)) + segment.body
