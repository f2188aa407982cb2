"""Read the headers of DICOM files with pydicom, up to where the pixels start."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lidcflow.ct.facts import COMMON_TAGS, Facts, facts_of
from lidcflow.ct.values import integer_of, numbers_of, raw_text

SOP_INSTANCE_UID = 0x00080018
SERIES_INSTANCE_UID = 0x0020000E
INSTANCE_NUMBER = 0x00200013
POSITION = 0x00200032
TAGS = [*COMMON_TAGS, SOP_INSTANCE_UID, INSTANCE_NUMBER, POSITION]
TRANSFER_SYNTAX = 0x00020010
NATIVE_SYNTAXES = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)})
"""Syntaxes whose pixels lie in the file as they are."""

DEFLATED = str(DeflatedExplicitVRLittleEndian)

PIXEL_DATA = 0x7FE00010
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})
UNDEFINED_LENGTH = 0xFFFFFFFF
HEAD_TAGS = [*TAGS, PIXEL_DATA]
LONGEST_VALUE = 1024
"""Longer values are not read: of ours, only the pixels are."""

TAGS = [*COMMON_TAGS, SOP_INSTANCE_UID, INSTANCE_NUMBER, POSITION]

PREFIX_OFFSET = 128
DIRECTORY_FILE = f"{os.sep}DICOMDIR"
HEAD_BYTES = 16_384
"""Read at once: headers of CT take 2 to 10 KB, and one read costs a quarter less than many small ones."""

KNOWN_FACTS = 1024
"""Headers whose shared values are remembered; a folder holds the files of a series together."""

PixelElement = tuple[int, int | None]
"""Offset of the pixels, and their length in bytes, None when encapsulated."""


class Unread(Enum):
    """Why a file gave no header."""

    NOT_DICOM = "not DICOM"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Header:
    """What the index needs of one file.

    Parameters
    ----------
    path : str
        File.
    sop_instance_uid : str
        SOP Instance UID, empty when absent.
    instance_number : int, optional
        Instance Number.
    position_mm : tuple of 3 floats, optional
        Image Position (Patient), finite.
    pixel_offset, pixel_bytes : int, optional
        Start and length of uncompressed pixel data; the length is None when encapsulated, both when absent.
    file_bytes : int
        Size of the file.
    facts : Facts
        What the slices of a series mostly share.
    """

    path: str
    sop_instance_uid: str
    instance_number: int | None
    position_mm: tuple[float, ...] | None
    pixel_offset: int | None
    pixel_bytes: int | None
    file_bytes: int
    facts: Facts


def read_headers(paths: Iterable[str], secret: bytes) -> list[Header | Unread]:
    """Read the headers of files; whatever is wrong with one, the others are read.

    Parameters
    ----------
    paths : iterable of str
        Files, regular ones.
    secret : bytes
        Key of the patient hash; the raw Patient ID does not leave this function.

    Returns
    -------
    list of Header or Unread
        In the order of `paths`.
    """
    known: dict[Any, Facts] = {}
    with _quiet():
        return [_read_header(path, secret, known) for path in paths]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom's warnings out of sight: they repeat values and paths, which may be a patient's."""
    logger = logging.getLogger("pydicom")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        with pydicom_config.disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


def _read_header(path: str, secret: bytes, known: dict[Any, Facts]) -> Header | Unread:
    """Read one header; a mutated file can make pydicom raise anything, so anything is caught."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
            if head[PREFIX_OFFSET : PREFIX_OFFSET + 4] != b"DICM" or path.endswith(DIRECTORY_FILE):
                return Unread.NOT_DICOM
            file_bytes = file.seek(0, io.SEEK_END)
        parsed = _parse_head(head) or _parse_file(path)
        if SERIES_INSTANCE_UID not in parsed.elements:
            return Unread.UNREADABLE
        return _header(path, file_bytes, parsed, _shared_facts(parsed, secret, known))
    except Exception:
        return Unread.UNREADABLE


def _parse_head(head: bytes) -> _Parsed | None:
    """Parse a header that lies in the head of the file up to the pixels, as nearly all do.

    Iterating over pydicom's elements takes less than half the time of `dcmread`, which makes five data sets a file
    and asks at every element whether to stop; here the end of the head stops it.
    """
    stream = io.BytesIO(head)
    stream.seek(PREFIX_OFFSET + 4)
    with contextlib.suppress(Exception):
        meta = _by_tag(data_element_generator(stream, False, True, stop_when=_after_meta))
        syntax = raw_text(_plain(meta.get(TRANSFER_SYNTAX)))
        if syntax == DEFLATED:
            stream = _inflated(stream.read())
        elif syntax not in NATIVE_SYNTAXES:
            return None
        implicit = syntax == str(ImplicitVRLittleEndian)
        elements = data_element_generator(stream, implicit, True, defer_size=LONGEST_VALUE, specific_tags=HEAD_TAGS)
        found = _by_tag(elements)
        pixels = found.pop(PIXEL_DATA, None)
        if pixels is not None:
            return _Parsed(syntax, found, (pixels.value_tell, pixels.length))
        return _Parsed(syntax, found, None) if syntax == DEFLATED else None
    return None


def _inflated(deflated: bytes) -> io.BytesIO:
    """Inflate no more than a head: a small file can hold gigabytes (PS3.5 section A.5)."""
    return io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, HEAD_BYTES))


def _parse_file(path: str) -> _Parsed:
    """Parse any header that pydicom can."""
    pixels: list[PixelElement] = []

    def at_pixels(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA:
            pixels.append((file.tell(), None if length == UNDEFINED_LENGTH else length))
        return tag in PIXEL_TAGS

    with open(path, "rb") as file:
        dataset = read_partial(file, stop_when=at_pixels, specific_tags=TAGS)
    syntax = raw_text(dataset.file_meta.get("TransferSyntaxUID"))
    elements = {tag: dataset.get_item(tag) for tag in TAGS if tag in dataset}
    return _Parsed(syntax, elements, pixels[0] if pixels else None)


class _Parsed(NamedTuple):
    """Undecoded elements by tag, and where the pixels are."""

    syntax: str
    elements: dict[int, Any]
    pixels: PixelElement | None


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag >> 16 != 0x0002)


def _by_tag(elements: Iterable[Any]) -> dict[int, Any]:
    return {element.tag: element for element in elements}


def _plain(element: Any) -> Any:
    """Give a value as it lies in the file, so that it can be compared and hashed."""
    value = None if element is None else element.value
    return value if value is None or isinstance(value, bytes) else str(value)


def _shared_facts(parsed: _Parsed, secret: bytes, known: dict[Any, Facts]) -> Facts:
    """Decode the shared values once per series: decoding all of them in every file doubles the header pass."""
    key = (parsed.syntax, *(_plain(parsed.elements.get(tag)) for tag in COMMON_TAGS))
    if key not in known:
        if len(known) >= KNOWN_FACTS:
            known.clear()
        known[key] = facts_of(Dataset(parsed.elements), parsed.syntax, secret)
    return known[key]


def _header(path: str, file_bytes: int, parsed: _Parsed, facts: Facts) -> Header:
    offset, length = parsed.pixels or (None, None)
    return Header(
        path=path,
        sop_instance_uid=raw_text(_plain(parsed.elements.get(SOP_INSTANCE_UID))),
        instance_number=integer_of(_plain(parsed.elements.get(INSTANCE_NUMBER))),
        position_mm=numbers_of(_plain(parsed.elements.get(POSITION)), 3),
        pixel_offset=offset,
        pixel_bytes=length,
        file_bytes=file_bytes,
        facts=facts,
    )
