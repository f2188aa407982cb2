"""Decode RLE frames of 16 bits, and no further than their pixels: a few hostile megabytes would fill gigabytes."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

HEAD = struct.Struct("<16L")
"""Number of segments and where each starts, unused ones 0."""

REPEATS_FROM = 128
"""A control byte below says how many values follow as they are, one above how often the next is repeated."""


def decode_rle(frame: bytes, stored: NDArray[np.integer]) -> None:
    """Decode a frame: one segment of high bytes, one of low ones.

    Parameters
    ----------
    frame : bytes
        One compressed frame.
    stored : (rows, columns) array of int16 or uint16, little endian
        Where the values are decoded to.

    Raises
    ------
    ValueError
        If it is not made of two segments, or they hold too few values.

    References
    ----------
    DICOM PS3.5 annex G.
    """
    if len(frame) < HEAD.size:
        raise ValueError("an RLE frame without a header")
    segments, high, low, *_ = HEAD.unpack_from(frame)
    if segments != 2 or not HEAD.size <= high <= low <= len(frame):
        raise ValueError(f"an RLE frame of {segments} segments for values of 2 bytes")
    values = stored.view(np.uint8).reshape(-1, 2)
    for byte, segment in ((1, frame[high:low]), (0, frame[low:])):
        values[:, byte] = np.frombuffer(_unpacked(segment, stored.size), np.uint8)


def _unpacked(segment: bytes, n_values: int) -> bytes:
    """Undo PackBits until there are enough values; writers pad, so more is no fault."""
    unpacked = bytearray()
    at, end = 0, len(segment)
    while at < end and len(unpacked) < n_values:
        control = segment[at] + 1
        at += 1
        if control <= REPEATS_FROM:
            unpacked += segment[at : at + control]
            at += control
        elif control > REPEATS_FROM + 1:
            unpacked += segment[at : at + 1] * (258 - control)
            at += 1
    if len(unpacked) < n_values:
        raise ValueError(f"an RLE segment of {len(unpacked)} values for {n_values} pixels")
    return bytes(unpacked[:n_values])
