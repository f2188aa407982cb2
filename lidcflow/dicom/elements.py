"""Find the elements that the index needs, undecoded and within bounds, and where the pixels start."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from pydicom.filereader import data_element_generator, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from lidcflow.dicom.encoding import differing_syntax, encoding_at, go_to_start
from lidcflow.dicom.facts import COMMON_TAGS
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout
from lidcflow.dicom.values import raw_text

HEADER_BYTES = 64 * 2**20
"""Read of one header at most; those of multi-frame objects take 2 to 8 KB a frame."""

HEADER_PIECES = 1_000_000
"""Reads of one header at most: pydicom makes two or three an element, and half a kilobyte of memory of each."""


SOP_CLASS_UID = 0x00080016

SOP_INSTANCE_UID = 0x00080018

SERIES_INSTANCE_UID = 0x0020000E

ACQUISITION_TIME = 0x00080032

INSTANCE_NUMBER = 0x00200013

POSITION = 0x00200032

TRANSFER_SYNTAX = 0x00020010

TAGS = [*COMMON_TAGS, SOP_INSTANCE_UID, ACQUISITION_TIME, INSTANCE_NUMBER, POSITION]

PIXEL_DATA = 0x7FE00010

AFTER_IDENTITY = 0x00290000
"""First tag after those that say whose and of what kind an object is."""

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})

UNDEFINED_LENGTH = 0xFFFFFFFF

HEAD_TAGS = [*TAGS, PIXEL_DATA]

LONGEST_VALUE = 1024
"""Longer values are not read: of ours, only the pixels are."""

INFLATED_HEAD_BYTES = 2**20
"""Inflated of a deflated file to find its elements: headers of CT take 2 to 10 KB."""

PixelElement = tuple[int, int | None]
"""Offset of the pixels, and their length in bytes, None when encapsulated."""


class Stream(Protocol):
    """The interface that pydicom needs of a file."""

    def read(self, n_bytes: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


class Budget:
    """Remaining budget of bytes and reads for one header."""

    def __init__(self, n_bytes: int = HEADER_BYTES, pieces: int = HEADER_PIECES) -> None:
        self.n_bytes = n_bytes
        self.pieces = pieces

    def spend(self, n_bytes: int) -> None:
        """Take one read off.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        self.n_bytes -= n_bytes
        self.pieces -= 1
        if self.n_bytes < 0 or self.pieces < 0:
            raise ValueError("a header must be no longer than a header is")


class BoundedStream:
    """A file that gives no more than a budget allows.

    Parameters
    ----------
    stream : file-like
        What is read.
    budget : Budget
        Shared by all streams of one header.
    """

    def __init__(self, stream: Stream | BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, n_bytes: int = -1, /) -> bytes:
        """Read at most `n_bytes`, and no more than the budget allows.

        Raises
        ------
        ValueError
            If the budget is spent.
        """
        most = self._budget.n_bytes + 1
        content = self._stream.read(min(n_bytes, most) if n_bytes >= 0 else most)
        self._budget.spend(len(content))
        return content


class Parsed(NamedTuple):
    """Undecoded elements by tag, and where the pixels are.

    Parameters
    ----------
    syntax : str
        Transfer syntax in which the elements are encoded.
    elements : dict
        Undecoded elements by tag.
    pixels : tuple, optional
        Offset and length of the pixels.
    stated : str
        Transfer Syntax UID of the meta header where it is another one.
    """

    syntax: str
    elements: dict[int, Any]
    pixels: PixelElement | None
    stated: str = ""


def parse_head(head: bytes) -> Parsed | None:
    """Parse a header that lies in the head of the file up to the pixels, as nearly all do.

    Iterating over pydicom's elements takes less than half the time of `dcmread`, which makes five data sets a file
    and asks at every element whether to stop; here the end of the head stops it.

    Parameters
    ----------
    head : bytes
        Start of the file.

    Returns
    -------
    Parsed or None
        None when `parse_file` has to be asked.
    """
    stream = io.BytesIO(head)
    with contextlib.suppress(Exception):  # a head that is cut or odd is no fault: the whole file is parsed instead
        stated = _stated_syntax(stream)
        syntax = stated or encoding_at(stream)
        if pixel_layout(syntax) is PixelLayout.LITTLE_ENDIAN:
            parsed = _parse_plain(stream, syntax)
            compressed = parsed and parsed.pixels and parsed.pixels[1] is None
            return None if compressed and not stated else parsed
        if pixel_layout(syntax) is PixelLayout.ENCAPSULATED:
            parsed = _parse_to_pixels(stream, syntax, TAGS, LONGEST_VALUE)
            return parsed if parsed.pixels else None
    return None


def parse_file(path: str, opened: Callable[[str], BinaryIO]) -> Parsed:
    """Parse any header that pydicom can.

    Parameters
    ----------
    path : str
        A DICOM file.
    opened : callable
        Opens it: an object is not opened as a file is.

    Raises
    ------
    ValueError
        If the header is too long to be one.
    """
    with opened(path) as file:
        return parse_stream(file, TAGS, Budget())


def parse_leading(path: str, opened: Callable[[str], BinaryIO]) -> Parsed:
    """Parse the elements before those of the pixels' kind, of an object whose other elements can't be parsed.

    The contours of a plan can be longer than any header of an image.

    Parameters
    ----------
    path : str
        A DICOM file.
    opened : callable
        Opens it.
    """
    with opened(path) as file:
        return parse_stream(file, [tag for tag in TAGS if tag < AFTER_IDENTITY], Budget(), end=AFTER_IDENTITY)


def parse_stream(
    file: BinaryIO,
    tags: list[int],
    budget: Budget,
    inflated_bytes: int = INFLATED_HEAD_BYTES,
    end: int = PIXEL_DATA,
) -> Parsed:
    """Parse the elements of some tags.

    Parameters
    ----------
    file : binary stream
        A DICOM file.
    tags : list of int
        What is wanted of it.
    budget : Budget
        How much of it may be read.
    inflated_bytes : int
        How much of a deflated one may be inflated.
    end : int
        Tag from which on no element is parsed.

    Raises
    ------
    ValueError
        If the header is too long to be one.
    """
    stream = cast(BinaryIO, BoundedStream(file, budget))
    stated = _stated_syntax(stream)
    syntax = stated or encoding_at(stream)
    if syntax and not stated:
        return _parse_without_meta(stream, syntax, tags, end)
    if differing := differing_syntax(stream, stated):
        return _parse_differing(stream, differing, stated, tags, end)
    if pixel_layout(syntax) is PixelLayout.DEFLATED:
        head = io.BytesIO(inflated(file, inflated_bytes))
        return _parse_to_pixels(cast(BinaryIO, BoundedStream(head, budget)), syntax, tags, None, end)
    stream.seek(0)
    at_pixels, pixels = _pixel_stop(stream, end)
    dataset = read_partial(stream, stop_when=at_pixels, specific_tags=tags)
    elements = {tag: dataset.get_item(tag) for tag in tags if tag in dataset}
    return Parsed(syntax, elements, pixels[0] if pixels else None)


def read_syntax(stream: BinaryIO) -> str:
    """Read the Transfer Syntax UID, and leave the stream where the data set starts.

    Without a meta header it is what the first elements tell.

    Parameters
    ----------
    stream : binary stream
        A DICOM file.
    """
    return _stated_syntax(stream) or encoding_at(stream)


def _stated_syntax(stream: BinaryIO) -> str:
    go_to_start(stream)
    meta = _by_tag(data_element_generator(stream, False, True, stop_when=_after_meta))
    return raw_text(raw_value(meta.get(TRANSFER_SYNTAX)))


def inflated(stream: BinaryIO, n_bytes: int) -> bytes:
    """Inflate the start of a data set and no more: a small file can hold gigabytes (PS3.5 section A.5).

    Parameters
    ----------
    stream : binary stream
        Where the deflated data set starts.
    n_bytes : int
        Bytes to inflate at most; twice as many are read at most.
    """
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(2 * n_bytes), n_bytes)


def raw_value(element: Any) -> Any:
    """Return a value as it lies in the file, so that it can be compared and hashed."""
    value = None if element is None else element.value
    return value if value is None or isinstance(value, bytes) else str(value)


def _parse_plain(stream: BinaryIO, syntax: str) -> Parsed | None:
    implicit = syntax == str(ImplicitVRLittleEndian)
    found = _by_tag(data_element_generator(stream, implicit, True, defer_size=LONGEST_VALUE, specific_tags=HEAD_TAGS))
    pixels = found.pop(PIXEL_DATA, None)
    if not pixels:
        return None
    return Parsed(syntax, found, (pixels.value_tell, None if pixels.length == UNDEFINED_LENGTH else pixels.length))


def _parse_differing(stream: BinaryIO, syntax: str, stated: str, tags: list[int], end: int) -> Parsed:
    """Parse elements in another encoding than the meta header states, which alone says how pixels are compressed."""
    if pixel_layout(syntax) is PixelLayout.DEFLATED:
        head = cast(BinaryIO, io.BytesIO(inflated(stream, INFLATED_HEAD_BYTES)))
        return _parse_to_pixels(head, syntax, tags, None, end)._replace(stated=stated)
    parsed = _parse_without_meta(stream, syntax, tags, end)
    return parsed._replace(syntax=parsed.syntax or stated, stated=stated)


def _parse_without_meta(stream: BinaryIO, syntax: str, tags: list[int], end: int) -> Parsed:
    """Parse elements whose encoding was inferred; the codec of compressed pixels stays unknown."""
    implicit, little = syntax == str(ImplicitVRLittleEndian), syntax != str(ExplicitVRBigEndian)
    at_pixels, pixels = _pixel_stop(stream, end)
    found = _by_tag(data_element_generator(stream, implicit, little, at_pixels, specific_tags=tags))
    compressed = bool(pixels) and pixels[0][1] is None
    return Parsed("" if compressed else syntax, found, pixels[0] if pixels else None)


def _parse_to_pixels(
    stream: BinaryIO, syntax: str, tags: list[int], longest: int | None, end: int = PIXEL_DATA
) -> Parsed:
    """Parse explicit little endian elements; pixels of undefined length would be read whole if nothing stopped it."""
    at_pixels, pixels = _pixel_stop(stream, end)
    found = _by_tag(data_element_generator(stream, False, True, at_pixels, defer_size=longest, specific_tags=tags))
    return Parsed(syntax, found, pixels[0] if pixels else None)


def _pixel_stop(stream: BinaryIO, end: int) -> tuple[Callable[[BaseTag, str | None, int], bool], list[PixelElement]]:
    """Make a condition that stops at the pixels, and the list in which it records their element."""
    pixels: list[PixelElement] = []

    def at_pixels(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA:
            pixels.append((stream.tell(), None if length == UNDEFINED_LENGTH else length))
        return tag in PIXEL_TAGS or (end != PIXEL_DATA and tag >= end)

    return at_pixels, pixels


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag >> 16 != 0x0002)


def _by_tag(elements: Iterable[Any]) -> dict[int, Any]:
    return {element.tag: element for element in elements}
