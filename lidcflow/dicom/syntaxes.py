"""The transfer syntaxes of CT: how the pixels of each are read, or why they are not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# Written out, as of PS3.6 annex A: pydicom, which names them, takes 0.3 s of CPU to import, and `lidcflow status` none.
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS_FIRST_ORDER = "1.2.840.10008.1.2.4.70"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
JPEG_BASELINE_8_BIT = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED_12_BIT = "1.2.840.10008.1.2.4.51"


class PixelLayout(Enum):
    """The layout of a slice's pixel data."""

    LITTLE_ENDIAN = "in the file as they are"
    BIG_ENDIAN = "in the file, with the bytes of each value swapped"
    DEFLATED = "in a data set that is deflated as a whole (PS3.5 section A.5)"
    ENCAPSULATED = "compressed, in the items of a sequence (PS3.5 section A.4)"


class Codestream(Enum):
    """The codec of a compressed frame."""

    RLE = "RLE"
    JPEG_LOSSLESS = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True, slots=True)
class Syntax:
    """Decoding of a transfer syntax's pixels.

    Parameters
    ----------
    layout : PixelLayout
        Where the pixels lie.
    codestream : Codestream, optional
        What an encapsulated frame is made of.
    plugin : str
        pydicom's name of the decoder, where pydicom is asked for one; named, so that results do not depend on what
        else is installed.
    lossy : bool
        Whether decoded values may differ from those that were encoded.
    """

    layout: PixelLayout
    codestream: Codestream | None = None
    plugin: str = ""
    lossy: bool = False


_LOSSLESS_JPEG = Syntax(PixelLayout.ENCAPSULATED, Codestream.JPEG_LOSSLESS)
SYNTAXES: dict[str, Syntax] = {
    IMPLICIT_LITTLE_ENDIAN: Syntax(PixelLayout.LITTLE_ENDIAN),
    EXPLICIT_LITTLE_ENDIAN: Syntax(PixelLayout.LITTLE_ENDIAN),
    EXPLICIT_BIG_ENDIAN: Syntax(PixelLayout.BIG_ENDIAN),
    DEFLATED: Syntax(PixelLayout.DEFLATED),
    RLE_LOSSLESS: Syntax(PixelLayout.ENCAPSULATED, Codestream.RLE),
    JPEG_LOSSLESS: _LOSSLESS_JPEG,
    JPEG_LOSSLESS_FIRST_ORDER: _LOSSLESS_JPEG,
    JPEG_LS_LOSSLESS: Syntax(PixelLayout.ENCAPSULATED, Codestream.JPEG_LS, "pyjpegls"),
    JPEG_LS_NEAR_LOSSLESS: Syntax(PixelLayout.ENCAPSULATED, Codestream.JPEG_LS, "pyjpegls", lossy=True),
    JPEG_2000_LOSSLESS: Syntax(PixelLayout.ENCAPSULATED, Codestream.JPEG_2000, "pylibjpeg"),
    JPEG_2000: Syntax(PixelLayout.ENCAPSULATED, Codestream.JPEG_2000, "pylibjpeg", lossy=True),
}
"""Supported transfer syntaxes, by UID."""

PLAIN = EXPLICIT_LITTLE_ENDIAN

_TWELVE_BITS = "lossy JPEG of 12 bits, for which there is no decoder here; fetch the lossless original"
_REFUSED: dict[str, str] = {
    JPEG_BASELINE_8_BIT: (
        "lossy JPEG of 8 bits, which no longer holds Hounsfield units; fetch the series as it was before"
    ),
    JPEG_EXTENDED_12_BIT: _TWELVE_BITS,
    "1.2.840.10008.1.2.4.53": f"progressive {_TWELVE_BITS}",
    "1.2.840.10008.1.2.4.55": f"progressive {_TWELVE_BITS}",
}


def pixel_layout(syntax_uid: str) -> PixelLayout | None:
    """Return where the pixels of a transfer syntax lie, None when it can't be read."""
    return SYNTAXES[syntax_uid].layout if syntax_uid in SYNTAXES else None


def is_lossy(syntax_uid: str) -> bool:
    """Return whether values of a transfer syntax may differ from those that were encoded."""
    return syntax_uid in SYNTAXES and SYNTAXES[syntax_uid].lossy


def why_refused(syntax_uid: str) -> str:
    """Return the reason and the remedy for a transfer syntax that cannot be decoded."""
    return _REFUSED.get(syntax_uid, "for which there is no decoder here; decompress the series first")
