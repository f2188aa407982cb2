"""Find where the data set of a DICOM file starts, and its encoding where no meta header states it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout

PREFIX_OFFSET = 128
PREFIX = b"DICM"
META_OFFSET = PREFIX_OFFSET + len(PREFIX)
HEAD_BYTES = 512
"""Bytes that are read of a file without prefix: the first elements of an image take less."""

FIRST_ELEMENTS = 3
LONGEST_FIRST_VALUE = 256
"""The first elements of an image are its character set, type, times, class and UID."""

_META_GROUP, _IMAGE_GROUP = 0x0002, 0x0008
_VRS = frozenset(vr.value.encode() for vr in STANDARD_VR)
_LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)
_ENCODINGS = {
    str(ExplicitVRLittleEndian): ("<", True),
    str(ImplicitVRLittleEndian): ("<", False),
    str(ExplicitVRBigEndian): (">", True),
}


class Readable(Protocol):
    """The interface that is needed of a file."""

    def read(self, n_bytes: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


def has_prefix(head: bytes) -> bool:
    """Return whether the start of a file has the prefix that a DICOM file must have (PS3.10 section 7.1)."""
    return head[PREFIX_OFFSET:META_OFFSET] == PREFIX


def start_of(head: bytes) -> int | None:
    """Return where the meta header or the data set of a file starts.

    Parameters
    ----------
    head : bytes
        Start of the file.

    Returns
    -------
    int or None
        After the prefix; 0, or 128 after an empty preamble, where there is none and the first elements are those of
        an image, as some archives export them. None when it is no DICOM file.
    """
    if has_prefix(head):
        return META_OFFSET
    if _begins(head):
        return 0
    empty = not any(head[:PREFIX_OFFSET])
    return PREFIX_OFFSET if empty and _begins(head[PREFIX_OFFSET : PREFIX_OFFSET + HEAD_BYTES]) else None


def go_to_start(stream: Readable) -> None:
    """Leave a DICOM file where its meta header or data set starts."""
    stream.seek(PREFIX_OFFSET)
    if stream.read(len(PREFIX)) == PREFIX:
        return
    stream.seek(0)
    stream.seek(start_of(stream.read(PREFIX_OFFSET + HEAD_BYTES)) or 0)


def encoding_at(stream: Readable) -> str:
    """Return the transfer syntax of the first elements of a data set, and leave the stream where it was.

    Parameters
    ----------
    stream : binary stream
        Where the data set starts.

    Returns
    -------
    str
        Implicit or explicit little endian, or big endian; empty when the elements are none of these.
    """
    at = stream.tell()
    head = stream.read(HEAD_BYTES)
    stream.seek(at)
    return encoding_of(head) or ""


def differing_syntax(stream: Readable, stated: str) -> str:
    """Return the transfer syntax of the first elements where a meta header states another one.

    Parameters
    ----------
    stream : binary stream
        Where the data set starts; it is left there.
    stated : str
        Transfer Syntax UID of the meta header.

    Returns
    -------
    str
        Empty when the elements are those of the stated syntax, or tell nothing.
    """
    elements = str(ExplicitVRLittleEndian) if pixel_layout(stated) is PixelLayout.ENCAPSULATED else stated
    if pixel_layout(stated) is None:
        return ""
    found = encoding_at(stream) or _deflated_at(stream)
    return found if found and found != elements else ""


def _deflated_at(stream: Readable) -> str:
    """Return the deflated transfer syntax where the elements of an image appear once they are inflated."""
    at = stream.tell()
    packed = stream.read(2 * HEAD_BYTES)
    stream.seek(at)
    try:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, HEAD_BYTES)
    except zlib.error:
        return ""
    return str(DeflatedExplicitVRLittleEndian) if encoding_of(head) == str(ExplicitVRLittleEndian) else ""


def encoding_of(head: bytes) -> str | None:
    """Return the transfer syntax of the first elements of an image; None when they are no elements.

    Parameters
    ----------
    head : bytes
        Start of the data set.

    References
    ----------
    DICOM PS3.5 section 7.1.

    Examples
    --------
    >>> encoding_of(b"random bytes, or a text"), encoding_of(b"")
    (None, None)
    """
    for syntax, (order, explicit) in _ENCODINGS.items():
        groups = [tag >> 16 for tag in _tags(head, order, explicit)]
        if len(groups) >= FIRST_ELEMENTS and set(groups[:FIRST_ELEMENTS]) == {_IMAGE_GROUP}:
            return syntax
    return None


def _begins(head: bytes) -> bool:
    """Return whether bytes begin with the elements of a meta header, or of an image."""
    if head[:2] == _META_GROUP.to_bytes(2, "little"):
        groups = [tag >> 16 for tag in _tags(head, "<", explicit=True)]
        return len(groups) >= FIRST_ELEMENTS and set(groups[:FIRST_ELEMENTS]) == {_META_GROUP}
    return head[:2] in (b"\x08\0", b"\0\x08") and encoding_of(head) is not None


def _tags(head: bytes, order: str, explicit: bool) -> Iterator[int]:
    """Yield the tags of the elements at the start of bytes, as long as they ascend and are of sound length."""
    at, last = 0, -1
    while at + 12 <= len(head):
        group, element = struct.unpack_from(f"{order}HH", head, at)
        tag = group << 16 | element
        long = explicit and head[at + 4 : at + 6] in _LONG_VRS
        if tag <= last or (explicit and head[at + 4 : at + 6] not in _VRS):
            return
        length_at, kind = (at + 8, "L") if long else (at + 6, "H") if explicit else (at + 4, "L")
        (length,) = struct.unpack_from(f"{order}{kind}", head, length_at)
        if length > LONGEST_FIRST_VALUE:
            return
        yield tag
        at, last = at + (12 if long else 8) + length, tag
