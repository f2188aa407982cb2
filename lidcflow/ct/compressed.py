"""Read the pixels of a compressed slice: one file, one frame, bounded memory."""

from __future__ import annotations

from typing import BinaryIO

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from lidcflow.ct.codestreams import is_signed, sound_frame
from lidcflow.ct.quiet import quiet
from lidcflow.ct.raw import cut_short, damaged, encoded_frame, inflated_pixels
from lidcflow.ct.records import Reason, SourceSlice
from lidcflow.ct.rle import decode_rle
from lidcflow.ct.syntaxes import SYNTAXES, Codestream
from lidcflow.errors import SeriesRefused


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
    """
    content = inflated_pixels(file, source)
    stored[...] = np.frombuffer(content, stored.dtype, stored.size).reshape(stored.shape)


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
        If the file is cut short or damaged, or its JPEG 2000 stream and its header differ in sign.
    """
    rows, columns = stored.shape
    codestream = SYNTAXES[source.transfer_syntax_uid].codestream
    content = encoded_frame(file, source)
    try:
        frame = sound_frame(content, codestream, rows, columns)
    except EOFError:
        raise cut_short(source) from None
    except ValueError as error:
        raise damaged(source, str(error)) from None
    if codestream is Codestream.JPEG_2000 and is_signed(frame) != source.pixels.signed:
        raise _contradicted(source)
    try:
        _decode(frame, codestream, source, stored)
    except Exception:
        raise damaged(source, "a frame that its decoder refuses") from None


def _contradicted(source: SourceSlice) -> SeriesRefused:
    """Make the refusal of values that are signed by the header or by the stream, but not by both."""
    header, stream = ("signed", "unsigned") if source.pixels.signed else ("unsigned", "signed")
    sentence = (
        f"instance {source.sop_instance_uid}: PixelRepresentation must be that of its JPEG 2000 stream, got {header} "
        f"values for a stream of {stream} ones; export the series again, uncompressed if that is possible"
    )
    return SeriesRefused(Reason.UNSUPPORTED_PIXELS, sentence)


def _decode(frame: bytes, codestream: Codestream | None, source: SourceSlice, stored: NDArray[np.integer]) -> None:
    """Decode a frame that was checked; GDCM is asked directly, for pydicom's way to it costs a third more."""
    if codestream is Codestream.RLE:
        decode_rle(frame, stored)
    elif codestream is Codestream.JPEG_LOSSLESS:
        stored[...] = np.frombuffer(_decoded_by_gdcm(frame, source), stored.dtype).reshape(stored.shape)
    else:
        np.copyto(stored, _decoded_by_pydicom(frame, source), casting="unsafe")


def _decoded_by_gdcm(frame: bytes, source: SourceSlice) -> bytes:
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    fragment, element = gdcm.Fragment(), gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element.SetValue(fragments.__ref__())
    pixels, image = source.pixels, gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((pixels.columns, pixels.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(source.transfer_syntax_uid)))
    bits = pixels.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(pixels.signed)))
    decoded: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return decoded


def _decoded_by_pydicom(frame: bytes, source: SourceSlice) -> NDArray[np.integer]:
    """Decode a frame; what pydicom parses again is no longer than the frame."""
    pixels = source.pixels
    decoder = get_decoder(UID(source.transfer_syntax_uid))
    with quiet():
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
