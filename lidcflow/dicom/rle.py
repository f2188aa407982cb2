"""Decode RLE frames of 16 bits, and no further than their pixels: a few hostile megabytes would fill gigabytes."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
from numpy.typing import NDArray

HEAD = struct.Struct("<16L")
"""Number of segments and where each starts, unused ones 0."""

NOTHING = 128
"""A control byte below it counts the values that follow as they are, one above it how often the next is repeated."""


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


def _unpacked(segment: bytes, n_values: int) -> bytearray:
    """Undo PackBits; writers pad, so more values than pixels are no fault.

    Only runs make a segment longer than it is, so only they look at the length; the end of the segment ends the loop.
    """
    unpacked = bytearray()
    at = 0
    with contextlib.suppress(IndexError):  # the segment ends the loop: no byte says where the runs end
        while True:
            control = segment[at]
            if control > NOTHING:
                unpacked += segment[at + 1 : at + 2] * (257 - control)
                at += 2
                if len(unpacked) > n_values:
                    break
            elif control < NOTHING:
                unpacked += segment[at + 1 : at + 2 + control]
                at += 2 + control
            else:
                at += 1
    if len(unpacked) < n_values:
        raise ValueError(f"an RLE segment of {len(unpacked)} values for {n_values} pixels")
    del unpacked[n_values:]
    return unpacked
