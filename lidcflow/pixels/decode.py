"""Read the pixels of a slice and turn them into Hounsfield units."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from lidcflow.dicom.codestreams import is_signed, sound_frame
from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.records import PixelFormat, SourceSlice, VerdictReason
from lidcflow.dicom.rle import decode_rle
from lidcflow.dicom.syntaxes import SYNTAXES, Codestream, PixelLayout
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.encoded import cut_short, damaged, encoded_frame, inflated_pixels
from lidcflow.pixels.hounsfield import AIR_HU, HIGHEST_HU
from lidcflow.pixels.open import Opener, as_it_came, open_file, refused


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
    return SeriesRefused(VerdictReason.UNSUPPORTED_PIXELS, sentence)


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


STORED_LIMITS = {np.dtype(kind): (int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for kind in (np.int16, np.uint16)}


def hounsfield_slice(
    source: SourceSlice, scratch: NDArray[np.uint16] | None = None, opened: Opener = open_file
) -> NDArray[np.int16]:
    """Read one slice in Hounsfield units, padding as air.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.
    scratch : (rows, columns) array of uint16, optional
        Memory for the result: fresh memory for every slice costs as much time as the arithmetic.
    opened : callable
        Opens the slice, from `slice_opener`.

    Returns
    -------
    (rows, columns) array of int16
        HU, clipped to [-1024, 3071].

    Raises
    ------
    SeriesRefused
        If the file is gone, is not as long as when its header was read, or holds pixels that can't be decoded.
    """
    pixels = source.pixels
    memory = np.empty((pixels.rows, pixels.columns), np.uint16) if scratch is None else scratch
    stored = _read(source, memory, opened)
    padded = _padding_beyond_value_bits(stored, source.pixels)
    stored = _value_bits(stored, source.pixels)
    padded = _padding_above_air(stored, source) if padded is None else padded
    hu = to_hounsfield(stored, slope=source.slope, intercept=source.intercept, out=memory.view(np.int16))
    if padded is not None:
        hu[padded] = AIR_HU
    return hu


def stored_pixels(source: SourceSlice, memory: NDArray[np.uint16], opened: Opener = open_file) -> NDArray[np.integer]:
    """Read the stored values of one slice; uncompressed ones with a single read.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.
    memory : (rows, columns) array of uint16
        Where they are read to.
    opened : callable
        Opens the slice, from `slice_opener`.

    Returns
    -------
    (rows, columns) array of int16 or uint16
        Values before any rescale, in `memory`.

    Raises
    ------
    SeriesRefused
        If the file is gone, is not as long as when its header was read, or holds pixels that can't be decoded.
    """
    return _value_bits(_read(source, memory, opened), source.pixels)


def _read(source: SourceSlice, memory: NDArray[np.uint16], opened: Opener) -> NDArray[np.integer]:
    """Read all 16 bits of the stored values."""
    stored = memory.view("<i2" if source.pixels.signed else "<u2")
    try:
        with opened(source) as file:
            there = as_it_came(file, source)
            _READERS[SYNTAXES[there.transfer_syntax_uid].layout](file, there, stored)
    except OSError as error:
        raise refused(source, f"could not be read ({type(error).__name__})") from None
    return stored


def _read_little_endian(file: BinaryIO, source: SourceSlice, stored: NDArray[np.integer]) -> None:
    file.seek(source.pixel_offset)
    n_read = file.readinto(stored.data.cast("B"))  # type: ignore[attr-defined]
    if n_read != source.pixels.n_bytes:
        raise refused(source, f"gave {n_read} of {source.pixels.n_bytes} bytes")


def _read_big_endian(file: BinaryIO, source: SourceSlice, stored: NDArray[np.integer]) -> None:
    _read_little_endian(file, source, stored)
    stored.byteswap(inplace=True)


_READERS: dict[PixelLayout, Callable[[BinaryIO, SourceSlice, NDArray[np.integer]], None]] = {
    PixelLayout.LITTLE_ENDIAN: _read_little_endian,
    PixelLayout.BIG_ENDIAN: _read_big_endian,
    PixelLayout.DEFLATED: read_deflated,
    PixelLayout.ENCAPSULATED: read_encapsulated,
}


def _value_bits(stored: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.integer]:
    """Drop the bits above Bits Stored in place: old writers keep overlays there (PS3.5 section 8.1.1)."""
    spare = 16 - pixels.bits_stored
    if spare:
        np.left_shift(stored, spare, out=stored)
        np.right_shift(stored, spare, out=stored)
    return stored


def _padding_beyond_value_bits(stored: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.bool_] | None:
    """Find padding that Bits Stored can't hold, such as 63536 beside 12 bits; None when its value fits.

    Writers put -2000 into all 16 bits: without the upper four it would be tissue.
    """
    if pixels.padding is None or pixels.bits_stored == 16:
        return None
    low, high = pixels.padding
    half, whole = 1 << (pixels.bits_stored - 1), 1 << pixels.bits_stored
    least, most = (-half, half - 1) if pixels.signed else (0, whole - 1)
    return None if least <= low and high <= most else (stored >= low) & (stored <= high)


def _padding_above_air(stored: NDArray[np.integer], source: SourceSlice) -> NDArray[np.bool_] | None:
    """Find padding that rescale would not turn into air; None when there is no such value."""
    if source.pixels.padding is None:
        return None
    low, high = source.pixels.padding
    if max(value * source.slope + source.intercept for value in (low, high)) <= AIR_HU:
        return None
    return (stored >= low) & (stored <= high)


def to_hounsfield(
    stored: NDArray[np.integer], *, slope: float, intercept: float, out: NDArray[np.int16] | None = None
) -> NDArray[np.int16]:
    """Convert stored CT pixel values to Hounsfield units.

    Parameters
    ----------
    stored : (rows, columns) array of integers
        Pixel values as decoded, before any rescale.
    slope, intercept : float
        Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).
    out : (rows, columns) array of int16, optional
        Memory for the result; may be that of `stored`.

    Returns
    -------
    (rows, columns) array of int16
        Radiodensity in HU, clipped to [-1024, 3071]: air is near -1000, water is 0.

    References
    ----------
    DICOM PS3.3 C.11.1, Modality LUT Module.

    Examples
    --------
    >>> to_hounsfield(np.array([[-2000, 1024]], np.int16), slope=1.0, intercept=-1024.0)
    array([[-1024,     0]], dtype=int16)
    """
    hu = np.empty(stored.shape, np.int16) if out is None else out
    limits = STORED_LIMITS.get(stored.dtype)
    if slope == 1 and intercept == int(intercept) and limits is not None:
        low, high = AIR_HU - int(intercept), HIGHEST_HU - int(intercept)
        if limits[0] <= high and low <= limits[1]:
            kind = stored.dtype.type
            # Clipped before anything is averaged: padding of -2000 or metal of 30,000 would pull a mean away.
            np.clip(stored, kind(max(low, limits[0])), kind(min(high, limits[1])), out=hu.view(stored.dtype))
            return np.add(hu, _wrapped(int(intercept)), out=hu)
    exact = stored * np.float64(slope) + intercept
    hu[...] = np.clip(np.rint(exact, out=exact), AIR_HU, HIGHEST_HU, out=exact)
    return hu


def _wrapped(intercept: int) -> np.int16:
    """Take an intercept modulo 2**16: the sum lies in [-1024, 3071] and so comes out exact."""
    return np.uint16(intercept & 0xFFFF).view(np.int16)
