"""Read the pixels of an uncompressed slice and turn them into Hounsfield units."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from lidcflow.ct.records import PixelFormat, Reason, SourceSlice
from lidcflow.errors import SeriesRefused

AIR_HU = -1024
HIGHEST_HU = 3071


def hounsfield_slice(source: SourceSlice) -> NDArray[np.int16]:
    """Read one slice in Hounsfield units, padding as air.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.

    Returns
    -------
    (rows, columns) array of int16
        HU, clipped to [-1024, 3071].

    Raises
    ------
    SeriesRefused
        If the file is gone, or is not as long as when its header was read.
    """
    stored = stored_pixels(source)
    padded = _padding_above_air(stored, source)
    hu = to_hounsfield(stored, slope=source.slope, intercept=source.intercept)
    if padded is not None:
        hu[padded] = AIR_HU
    return hu


def stored_pixels(source: SourceSlice) -> NDArray[np.integer]:
    """Read the stored values of one slice with a single read.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.

    Returns
    -------
    (rows, columns) array of int16 or uint16
        Values before any rescale; the caller may change them.

    Raises
    ------
    SeriesRefused
        If the file is gone, or is not as long as when its header was read.
    """
    pixels = source.pixels
    stored = np.empty((pixels.rows, pixels.columns), np.dtype("<i2" if pixels.signed else "<u2"))
    try:
        with open(source.path, "rb", buffering=0) as file:
            found_bytes = os.fstat(file.fileno()).st_size
            n_read = os.preadv(file.fileno(), [stored.data.cast("B")], source.pixel_offset)
    except OSError as error:
        raise _refused(source, f"could not be opened ({type(error).__name__})") from None
    if found_bytes != source.file_bytes or n_read != pixels.n_bytes:
        raise _refused(source, f"has {found_bytes} bytes where its header pass saw {source.file_bytes}")
    return _value_bits(stored, pixels)


def _refused(source: SourceSlice, found: str) -> SeriesRefused:
    sentence = (
        f"instance {source.sop_instance_uid}: the file must stay as it was indexed, but it {found}; "
        "index the source again"
    )
    return SeriesRefused(Reason.UNREADABLE, sentence)


def _value_bits(stored: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.integer]:
    """Drop the bits above Bits Stored in place: old writers keep overlays there (PS3.5 section 8.1.1)."""
    spare = 16 - pixels.bits_stored
    if spare:
        np.left_shift(stored, spare, out=stored)
        np.right_shift(stored, spare, out=stored)
    return stored


def _padding_above_air(stored: NDArray[np.integer], source: SourceSlice) -> NDArray[np.bool_] | None:
    """Find padding that rescale would not turn into air; None when there is no such value."""
    if source.pixels.padding is None:
        return None
    low, high = source.pixels.padding
    if max(value * source.slope + source.intercept for value in (low, high)) <= AIR_HU:
        return None
    return (stored >= low) & (stored <= high)


def to_hounsfield(stored: NDArray[np.integer], *, slope: float, intercept: float) -> NDArray[np.int16]:
    """Convert stored CT pixel values to Hounsfield units.

    Parameters
    ----------
    stored : (rows, columns) array of integers
        Pixel values as decoded, before any rescale.
    slope, intercept : float
        Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).

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
    if slope == 1 and intercept == int(intercept) and stored.dtype.itemsize == 2:
        limits = np.iinfo(stored.dtype)
        low, high = AIR_HU - int(intercept), HIGHEST_HU - int(intercept)
        if limits.min <= high and low <= limits.max:
            return _shifted(np.clip(stored, max(low, limits.min), min(high, limits.max)), int(intercept))
    hu = stored * np.float64(slope) + intercept
    return np.clip(np.rint(hu, out=hu), AIR_HU, HIGHEST_HU, out=hu).astype(np.int16)


def _shifted(clipped: NDArray[np.integer], intercept: int) -> NDArray[np.int16]:
    """Add the intercept modulo 2**16: exact, as the sum is known to lie in [-1024, 3071]."""
    wrapped = np.array(intercept & 0xFFFF, np.uint16).view(np.int16)
    hu = clipped.view(np.int16)
    return np.add(hu, wrapped, out=hu)
