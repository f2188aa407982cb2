"""Read the pixels of a compressed slice: one file, one frame, bounded memory."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from lidcflow.ct.codestreams import sound_frame
from lidcflow.ct.elements import inflated, read_syntax
from lidcflow.ct.quiet import quiet
from lidcflow.ct.reading import compressed_bytes
from lidcflow.ct.records import Reason, SourceSlice
from lidcflow.ct.syntaxes import SYNTAXES
from lidcflow.errors import SeriesRefused

ITEM_HEAD = struct.Struct("<LL")
ITEM, END_OF_ITEMS = 0xE000FFFE, 0xE0DDFFFE
"""Tags, as little endian numbers of 32 bits."""


def read_deflated(file: BinaryIO, source: SourceSlice, stored: NDArray[np.integer]) -> None:
    """Read the pixels of a deflated data set.

    Parameters
    ----------
    file : binary stream
        The file.
    source : SourceSlice
        As found by the index.
    stored : (rows, columns) array of int16 or uint16
        Where they are read to.

    Raises
    ------
    SeriesRefused
        If the file is cut short or damaged.

    References
    ----------
    DICOM PS3.5 section A.5.
    """
    try:
        read_syntax(file)
        dataset = inflated(file, source.pixel_offset + source.pixels.n_bytes)
    except zlib.error:
        raise _damaged(source, "a deflated data set that is damaged") from None
    if len(dataset) < source.pixel_offset + source.pixels.n_bytes:
        raise _cut_short(source)
    stored[...] = np.frombuffer(dataset, stored.dtype, stored.size, source.pixel_offset).reshape(stored.shape)


def read_encapsulated(file: BinaryIO, source: SourceSlice, stored: NDArray[np.integer]) -> None:
    """Read and decode the frame of an encapsulated slice.

    Parameters
    ----------
    file : binary stream
        The file.
    source : SourceSlice
        As found by the index.
    stored : (rows, columns) array of int16 or uint16
        Where they are decoded to.

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
    rows, columns = stored.shape
    try:
        codestream = SYNTAXES[source.transfer_syntax_uid].codestream
        frame = sound_frame(joined_items(content), codestream, rows, columns)
    except EOFError:
        raise _cut_short(source) from None
    except ValueError as error:
        raise _damaged(source, str(error)) from None
    try:
        np.copyto(stored, _decoded(frame, source), casting="unsafe")
    except Exception:
        raise _damaged(source, "a frame that its decoder refuses") from None


def joined_items(content: bytes) -> bytes:
    """Join the fragments of a single frame; a last delimiter that is lacking is no loss.

    Parameters
    ----------
    content : bytes
        Encapsulated pixel data, from the offset table on.

    Raises
    ------
    EOFError
        If an item is longer than what is there, or none holds a frame.
    ValueError
        If there is something else than items.
    """
    items: list[bytes] = []
    at = 0
    while at + ITEM_HEAD.size <= len(content):
        tag, length = ITEM_HEAD.unpack_from(content, at)
        at += ITEM_HEAD.size
        if tag == END_OF_ITEMS:
            break
        if tag != ITEM:
            raise ValueError("pixel data that are not made of items")
        items.append(content[at : at + length])
        at += length
    frame = b"".join(items[1:])
    if at > len(content) or not frame:
        raise EOFError
    return frame


def _decoded(frame: bytes, source: SourceSlice) -> NDArray[np.integer]:
    """Decode a frame that was checked; what pydicom parses again is no longer than the frame."""
    pixels = source.pixels
    decoder = get_decoder(UID(source.transfer_syntax_uid))
    with quiet():
        gdcm.Trace.WarningOff()
        gdcm.Trace.ErrorOff()
        decoded: NDArray[np.integer]
        decoded, _ = decoder.as_array(
            encapsulate([frame], has_bot=False),
            index=0,
            decoding_plugin=SYNTAXES[source.transfer_syntax_uid].plugin,
            rows=pixels.rows,
            columns=pixels.columns,
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=16,
            bits_stored=pixels.bits_stored,
            pixel_representation=int(pixels.signed),
            photometric_interpretation="MONOCHROME2",
            pixel_keyword="PixelData",
        )
    return decoded


def _cut_short(source: SourceSlice) -> SeriesRefused:
    sentence = f"instance {source.sop_instance_uid}: compressed pixels must be whole, got a part; copy the file again"
    return SeriesRefused(Reason.TRUNCATED, sentence)


def _damaged(source: SourceSlice, found: str) -> SeriesRefused:
    sentence = f"instance {source.sop_instance_uid}: compressed pixels must be sound, got {found}; copy the file again"
    return SeriesRefused(Reason.UNREADABLE, sentence)
