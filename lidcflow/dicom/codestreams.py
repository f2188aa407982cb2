"""Check the header of a compressed frame before a decoder is trusted with it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from lidcflow.dicom.jpeg import END_OF_IMAGE, TAIL_BYTES, sound_lossless, sound_ls
from lidcflow.dicom.syntaxes import Codestream

START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
"""JPEG 2000: SOC, and SIZ which follows it at once."""

BOXES_BYTES = 1024
"""Latest start of a codestream: some writers put the boxes of a JP2 file around it."""

SIZ = struct.Struct(">2H8LH3B")
"""Lsiz to Csiz, and depth and subsampling of the first component (ITU-T T.800 A.5.1)."""

SIGNED = 0x80
"""Sign bit of the depth; the other bits hold the number of bits less one."""


class Siz(NamedTuple):
    """The fields of the marker segment SIZ, in its order."""

    length: int
    capabilities: int
    width: int
    height: int
    left: int
    top: int
    tile_width: int
    tile_height: int
    tile_left: int
    tile_top: int
    components: int
    depth: int
    x_step: int
    y_step: int


MOST_TILES = 1024
"""OpenJPEG takes 6 KB for every tile that a header announces."""


def sound_frame(frame: bytes, codestream: Codestream | None, rows: int, columns: int) -> bytes:
    """Check that a frame holds one grey image of the size in its DICOM header, and that it ends.

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
    siz = Siz(*SIZ.unpack_from(frame, at + 4))
    if (siz.height - siz.top, siz.width - siz.left, siz.components) != (rows, columns, 1):
        found = f"{siz.height - siz.top} x {siz.width - siz.left} x {siz.components}"
        raise ValueError(f"an image of {found} for {rows} x {columns} pixels")
    if (siz.x_step, siz.y_step) != (1, 1):
        raise ValueError(f"an image that keeps one of {siz.y_step} rows and of {siz.x_step} columns")
    if not 8 <= (bits := (siz.depth & ~SIGNED) + 1) <= 16:
        raise ValueError(f"an image of {bits} bits")
    _check_grid(siz, rows, columns)
    return frame


def is_signed(frame: bytes) -> bool:
    """Return whether the values of a sound JPEG 2000 frame are signed.

    Parameters
    ----------
    frame : bytes
        One that `sound_jpeg_2000` has checked.
    """
    at = frame[:BOXES_BYTES].find(START_OF_CODESTREAM)
    return bool(Siz(*SIZ.unpack_from(frame, at + 4)).depth & SIGNED)


def _check_grid(siz: Siz, rows: int, columns: int) -> None:
    """Check where image and tiles lie on their grid: decoders take memory for what is left of an image and above it."""
    if siz.left > columns or siz.top > rows:
        raise ValueError(f"an image that begins at row {siz.top} and column {siz.left} of its grid")
    if not (siz.tile_left <= siz.left < siz.tile_left + siz.tile_width):
        raise ValueError(f"an image whose first tile has columns {siz.tile_left} to {siz.tile_left + siz.tile_width}")
    if not (siz.tile_top <= siz.top < siz.tile_top + siz.tile_height):
        raise ValueError(f"an image whose first tile has rows {siz.tile_top} to {siz.tile_top + siz.tile_height}")
    across = -(-(siz.width - siz.tile_left) // siz.tile_width)
    down = -(-(siz.height - siz.tile_top) // siz.tile_height)
    if across * down > MOST_TILES:
        raise ValueError(f"an image of {across * down} tiles")


_CHECKS: dict[Codestream | None, Callable[[bytes, int, int], bytes]] = {
    Codestream.JPEG_LOSSLESS: sound_lossless,
    Codestream.JPEG_LS: sound_ls,
    Codestream.JPEG_2000: sound_jpeg_2000,
}
