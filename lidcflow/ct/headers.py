"""Read the headers of DICOM files with pydicom, up to where the pixels start."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, BinaryIO

from pydicom import config as pydicom_config
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from lidcflow.ct.facts import COMMON_TAGS, Facts, facts_of
from lidcflow.ct.values import integer_of, numbers_of, raw_text

SOP_INSTANCE_UID = Tag(0x0008, 0x0018)
INSTANCE_NUMBER = Tag(0x0020, 0x0013)
POSITION = Tag(0x0020, 0x0032)
PIXEL_DATA = 0x7FE00010
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})
UNDEFINED_LENGTH = 0xFFFFFFFF
TAGS = [*COMMON_TAGS, SOP_INSTANCE_UID, INSTANCE_NUMBER, POSITION]

PREFIX_OFFSET = 128
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
    with pydicom_config.disable_value_validation():
        return [_read_header(path, secret, known) for path in paths]


def _read_header(path: str, secret: bytes, known: dict[Any, Facts]) -> Header | Unread:
    """Read one header; a mutated file can make pydicom raise anything, so anything is caught."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
            if head[PREFIX_OFFSET : PREFIX_OFFSET + 4] != b"DICM":
                return Unread.NOT_DICOM
            file_bytes = file.seek(0, io.SEEK_END)
        dataset, pixels = _parse(head, path, file_bytes)
    except Exception:
        return Unread.UNREADABLE
    try:
        return _header(path, file_bytes, dataset, pixels, _shared_facts(dataset, secret, known))
    except Exception:
        return Unread.UNREADABLE


def _parse(head: bytes, path: str, file_bytes: int) -> tuple[FileDataset, PixelElement | None]:
    """Parse the head alone when it reaches the pixels, else the file."""
    if file_bytes == len(head):
        return _parse_stream(io.BytesIO(head))
    with contextlib.suppress(Exception):
        dataset, pixels = _parse_stream(io.BytesIO(head))
        if pixels is not None:
            return dataset, pixels
    with open(path, "rb") as file:
        return _parse_stream(file)


def _parse_stream(stream: BinaryIO) -> tuple[FileDataset, PixelElement | None]:
    pixels: list[PixelElement] = []

    def at_pixels(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag not in PIXEL_TAGS:
            return False
        if tag == PIXEL_DATA:
            pixels.append((stream.tell(), None if length == UNDEFINED_LENGTH else length))
        return True

    dataset = read_partial(stream, stop_when=at_pixels, specific_tags=TAGS)
    return dataset, pixels[0] if pixels else None


def _shared_facts(dataset: FileDataset, secret: bytes, known: dict[Any, Facts]) -> Facts:
    """Decode the shared values once per series: decoding all of them in every file doubles the header pass."""
    key = (dataset.file_meta.get("TransferSyntaxUID"), *(_raw(dataset, tag) for tag in COMMON_TAGS))
    if key not in known:
        if len(known) >= KNOWN_FACTS:
            known.clear()
        known[key] = facts_of(dataset, secret)
    return known[key]


def _header(path: str, file_bytes: int, dataset: FileDataset, pixels: PixelElement | None, facts: Facts) -> Header:
    offset, length = pixels or (None, None)
    return Header(
        path=path,
        sop_instance_uid=raw_text(_raw(dataset, SOP_INSTANCE_UID)),
        instance_number=integer_of(_raw(dataset, INSTANCE_NUMBER)),
        position_mm=numbers_of(_raw(dataset, POSITION), 3),
        pixel_offset=offset,
        pixel_bytes=length,
        file_bytes=file_bytes,
        facts=facts,
    )


def _raw(dataset: FileDataset, tag: int) -> Any:
    """Give a value as it lies in the file; None when absent."""
    element = dataset.get_item(tag)
    value = None if element is None else element.value
    return value if value is None or isinstance(value, bytes) else str(value)
