"""Check what a compressed frame says of itself, before a decoder is trusted with it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from lidcflow.ct.jpeg import END_OF_IMAGE, TAIL_BYTES, sound_lossless, sound_ls
from lidcflow.ct.syntaxes import Codestream

START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
"""JPEG 2000: SOC, and SIZ which follows it at once."""

BOXES_BYTES = 1024
"""Where a codestream starts at the latest: some writers put the boxes of a JP2 file around it."""

SIZ = struct.Struct(">2H8LH")
MOST_TILES = 1024
"""OpenJPEG takes 6 KB for every tile that a header announces."""


def sound_frame(frame: bytes, codestream: Codestream | None, rows: int, columns: int) -> bytes:
    """Check that a frame holds one grey image of the size that its DICOM header says, and that it ends.

    Parameters
    ----------
    frame : bytes
        One compressed frame.
    codestream : Codestream, optional
        What it is made of; RLE does not say its size, and its decoder stops at it.
    rows, columns : int
        Matrix size.

    Returns
    -------
    bytes
        What the decoder is to have.

    Raises
    ------
    EOFError
        If the frame ends before its image does.
    ValueError
        If the image is of another kind or size, or damaged as far as can be seen.
    """
    check = _CHECKS.get(codestream)
    return check(frame, rows, columns) if check else frame


def sound_jpeg_2000(frame: bytes, rows: int, columns: int) -> bytes:
    """Check a JPEG 2000 frame.

    Parameters
    ----------
    frame : bytes
        As found, up to the padding.
    rows, columns : int
        Size that the image must have.

    Raises
    ------
    EOFError
        If the frame ends before its image does.
    ValueError
        If the image is of another kind or size.

    References
    ----------
    ITU-T T.800 A.5.1; DICOM PS3.5 section 8.2.4.
    """
    at = frame[:BOXES_BYTES].find(START_OF_CODESTREAM)
    if at < 0:
        raise ValueError("no JPEG 2000 image")
    if at + 4 + SIZ.size > len(frame) or END_OF_IMAGE not in frame[-TAIL_BYTES:]:
        raise EOFError
    _, _, width, height, left, top, tile_width, tile_height, _, _, components = SIZ.unpack_from(frame, at + 4)
    if (height - top, width - left, components) != (rows, columns, 1):
        raise ValueError(f"an image of {height - top} x {width - left} x {components} for {rows} x {columns} pixels")
    tiles = -(-width // max(tile_width, 1)) * -(-height // max(tile_height, 1))
    if tiles > MOST_TILES:
        raise ValueError(f"an image of {tiles} tiles")
    return frame


_CHECKS: dict[Codestream | None, Callable[[bytes, int, int], bytes]] = {
    Codestream.JPEG_LOSSLESS: sound_lossless,
    Codestream.JPEG_LS: sound_ls,
    Codestream.JPEG_2000: sound_jpeg_2000,
}
