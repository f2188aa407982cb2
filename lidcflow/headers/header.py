"""Read the headers of DICOM files, up to where the pixels start."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

from pydicom.dataset import Dataset

from lidcflow.config import Access
from lidcflow.dicom.elements import (
    ACQUISITION_TIME,
    INSTANCE_NUMBER,
    POSITION,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    Parsed,
    parse_file,
    parse_head,
    parse_leading,
    raw_value,
)
from lidcflow.dicom.encoding import has_prefix, start_of
from lidcflow.dicom.enhanced import CT_CLASSES, ENHANCED_CT_IMAGES, frames_of
from lidcflow.dicom.facts import COMMON_TAGS, Facts, facts_of
from lidcflow.dicom.frames import FrameError
from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.syntaxes import PLAIN, PixelLayout, pixel_layout
from lidcflow.dicom.values import integer_of, numbers_of, raw_text, seconds_of
from lidcflow.errors import ResourceError
from lidcflow.headers.fingerprint import mark_of, marked_bytes
from lidcflow.source.files import SourceFile
from lidcflow.source.folder import HEAD_BYTES, Head, file_heads
from lidcflow.source.location import OnDisk, file_location, location_of, open_at

DIRECTORY_NAME = "DICOMDIR"
DIRECTORY_CLASS = b"1.2.840.10008.1.3.10"
"""Media Storage Directory Storage: a table of contents, which CDs hold beside the images."""

IMAGE_CLASSES = b"1.2.840.10008.5.1.4.1.1"
COMPRESSED_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""First bytes of an item, of JPEG and JPEG-LS, and of JPEG 2000."""

KNOWN_FACTS = 1024
"""Headers whose shared values are remembered; a folder holds the files of a series together."""


TAR_MARK = 257
ARCHIVE_MARKS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c",
    b"BZh",
    b"\xfd7zXZ\0",
    b"Rar!\x1a\x07",
)
"""First bytes of zip, gzip, 7z, bzip2, xz and rar."""


class Unread(Enum):
    """The reason why a file gave no header."""

    NOT_DICOM = "not DICOM"
    ARCHIVE = "archive"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Header:
    """Header of one file, or of one frame of a multi-frame object, as the index needs it.

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
        Start and length of the pixel data, in the inflated data set when deflated; the length is None when
        encapsulated, both when absent.
    file_bytes : int
        Size of the file.
    facts : Facts
        What the slices of a series mostly share.
    acquisition_time_s : float, optional
        Acquisition Time of the day.
    frame_number : int, optional
        Of a frame, from 1.
    item_bytes : int, optional
        Length of the items of an encapsulated frame, where they do not end with the pixel data.
    frames : tuple of Header
        Frames of an enhanced multi-frame object, in the order of the file.
    fault : str, optional
        What must hold for its frames to be known, and what was found.
    version, mark : str
        Of the file, as for `lidcflow.dicom.records.SourceSlice`.
    other_syntax_uid : str
        Transfer Syntax UID that the file states where data set or pixels are of another one, that of `facts`.
    """

    path: str
    sop_instance_uid: str
    instance_number: int | None
    position_mm: tuple[float, ...] | None
    pixel_offset: int | None
    pixel_bytes: int | None
    file_bytes: int
    facts: Facts
    acquisition_time_s: float | None = None
    frame_number: int | None = None
    item_bytes: int | None = None
    frames: tuple[Header, ...] = ()
    fault: str | None = None
    version: str = ""
    mark: str = field(default="", repr=False, compare=False)
    other_syntax_uid: str = ""

    @property
    def stated_syntax(self) -> str:
        """Transfer Syntax UID as the file states it."""
        return self.other_syntax_uid or self.facts.transfer_syntax_uid

    def at(self, path: str) -> Header:
        """Return the same at another place, its frames too."""
        return replace(self, path=path, frames=tuple(replace(frame, path=path) for frame in self.frames))


Outcome = Header | Unread
"""Result of reading a file: its header, or the reason for none."""


def read_headers(files: Sequence[SourceFile], secret: bytes, access: Access) -> list[Outcome]:
    """Read the headers of files; whatever is wrong with one, the others are read.

    Parameters
    ----------
    files : sequence of SourceFile
        Regular files, and objects.
    secret : bytes
        Key of the patient hash; the raw Patient ID does not leave this function.
    access : Access
        How buckets are reached.

    Returns
    -------
    list of Outcome
        In the order of `files`.

    Raises
    ------
    ResourceError
        If the storage of objects does not answer.
    """
    known: dict[Any, Facts] = {}
    with quiet():
        return [
            _read_header(file, read, partial(_opened, file=file, access=access), secret, known)
            for file, read in zip(files, file_heads(files, access), strict=True)
        ]


def header_of(content: bytes, path: str, secret: bytes, known: dict[Any, Facts]) -> Outcome:
    """Read the header of an instance that is in memory; who calls keeps pydicom quiet, once for many.

    Parameters
    ----------
    content : bytes
        The instance as a file.
    path : str
        What the header names as its place.
    secret : bytes
        Key of the patient hash.
    known : dict
        Filled with what the instances of a series share, for the next ones.
    """
    file, head = SourceFile(path, len(content), ""), Head(content[:HEAD_BYTES], len(content))
    return _read_header(file, lambda: head, lambda _: BytesIO(content), secret, known)


def _opened(path: str, *, file: SourceFile, access: Access) -> BinaryIO:
    return open_at(file_location(path), access, file.size_bytes, file.version)


def _read_header(
    file: SourceFile,
    read: Callable[[], Head],
    opened: Callable[[str], BinaryIO],
    secret: bytes,
    known: dict[Any, Facts],
) -> Outcome:
    """Read one header; a mutated file can make pydicom raise anything, so anything is caught."""
    try:
        head, file_bytes = read()
        if start_of(head) is None or _is_directory(file.path):
            return Unread.ARCHIVE if _is_archive(head) else Unread.NOT_DICOM
        parsed = parse_head(head) or _parse_whole_or_leading(file.path, opened)
        if SERIES_INSTANCE_UID not in parsed.elements:
            return _without_series(head)
        header = _as_found(_header(file, file_bytes, parsed, _shared_facts(parsed, secret, known)), opened)
        header = _marked(header, head, opened) if isinstance(location_of(file.path), OnDisk) else header
        return _with_frames(header, parsed, opened, secret, known) if _is_enhanced(header) else header
    except ResourceError:
        raise
    except Exception:
        return Unread.UNREADABLE


def _parse_whole_or_leading(path: str, opened: Callable[[str], BinaryIO]) -> Parsed:
    """Parse a header; of what is no CT, that it is none is enough: plans and reports can be longer than images."""
    try:
        return parse_file(path, opened)
    except ResourceError:
        raise
    except Exception:
        parsed = parse_leading(path, opened)
        if raw_text(raw_value(parsed.elements.get(SOP_CLASS_UID))) in {"", *CT_CLASSES}:
            raise
        return parsed


def _as_found(header: Header, opened: Callable[[str], BinaryIO]) -> Header:
    """Treat pixels as native despite a compressed syntax if they have the length of native ones and hold no item."""
    facts = header.facts
    compressed = pixel_layout(facts.transfer_syntax_uid) is PixelLayout.ENCAPSULATED
    if not compressed or header.pixel_bytes is None or header.pixel_offset is None or facts.pixels is None:
        return header
    if header.pixel_bytes != facts.pixels.n_bytes or facts.bits_allocated != 16 or facts.samples != 1:
        return header
    with opened(header.path) as stream:
        stream.seek(header.pixel_offset)
        if stream.read(4).startswith(COMPRESSED_MARKS):
            return header
    return replace(header, facts=replace(facts, transfer_syntax_uid=PLAIN), other_syntax_uid=facts.transfer_syntax_uid)


def _is_directory(path: str) -> bool:
    """Return whether a file has the name of a media directory, as CDs and their copies write it."""
    return path.rpartition(os.sep)[2].upper().removesuffix(";1").removesuffix(".") == DIRECTORY_NAME


def _without_series(head: bytes) -> Unread:
    """Return what a file without SeriesInstanceUID is: a media directory, no DICOM, or a damaged image."""
    if DIRECTORY_CLASS in head or not (has_prefix(head) or IMAGE_CLASSES in head):
        return Unread.NOT_DICOM
    return Unread.UNREADABLE


def _is_archive(head: bytes) -> bool:
    return head.startswith(ARCHIVE_MARKS) or head[TAR_MARK : TAR_MARK + 5] == b"ustar"


def _shared_facts(parsed: Parsed, secret: bytes, known: dict[Any, Facts]) -> Facts:
    """Decode the shared values once per series: decoding all of them in every file doubles the header pass."""
    key = (parsed.syntax, *(raw_value(parsed.elements.get(tag)) for tag in COMMON_TAGS))
    if key not in known:
        if len(known) >= KNOWN_FACTS:
            known.clear()
        known[key] = facts_of(Dataset(parsed.elements), parsed.syntax, secret)
    return known[key]


def _header(file: SourceFile, file_bytes: int, parsed: Parsed, facts: Facts) -> Header:
    offset, length = parsed.pixels or (None, None)
    return Header(
        path=file.path,
        sop_instance_uid=raw_text(raw_value(parsed.elements.get(SOP_INSTANCE_UID))),
        instance_number=integer_of(raw_value(parsed.elements.get(INSTANCE_NUMBER))),
        position_mm=numbers_of(raw_value(parsed.elements.get(POSITION)), 3),
        pixel_offset=offset,
        pixel_bytes=length,
        file_bytes=file_bytes,
        facts=facts,
        acquisition_time_s=seconds_of(raw_value(parsed.elements.get(ACQUISITION_TIME))),
        version=file.version,
        other_syntax_uid=parsed.stated,
    )


def _marked(header: Header, head: bytes, opened: Callable[[str], BinaryIO]) -> Header:
    """Add the mark of a file of the disk that has pixels."""
    if header.pixel_offset is None:
        return header
    n_bytes = marked_bytes(header.facts.transfer_syntax_uid, header.pixel_offset, header.file_bytes)
    if n_bytes <= len(head):
        return replace(header, mark=mark_of(lambda offset, size: head[offset : offset + size], n_bytes))
    with opened(header.path) as file:
        return replace(header, mark=mark_of(lambda _, size: file.read(size), n_bytes))


def _is_enhanced(header: Header) -> bool:
    return header.facts.sop_class_uid in ENHANCED_CT_IMAGES


def _with_frames(
    header: Header,
    parsed: Parsed,
    opened: Callable[[str], BinaryIO],
    secret: bytes,
    known: dict[Any, Facts],
) -> Header:
    """Add a header for each frame, or the reason for none; pydicom's own message may name a value."""
    facts = header.facts
    try:
        with opened(header.path) as stream:
            found = frames_of(stream, parsed, facts.frames, facts.pixels.n_bytes if facts.pixels else 0)
    except ResourceError:
        raise
    except FrameError as error:
        return replace(header, fault=str(error))
    except Exception:
        return replace(header, fault="functional groups must be sound, got some that can't be read")
    file = SourceFile(header.path, header.file_bytes, header.version)
    frames = []
    for number, frame in enumerate(found, start=1):
        own = Parsed(parsed.syntax, frame.elements, frame.pixels, parsed.stated)
        one = _as_found(_header(file, header.file_bytes, own, _shared_facts(own, secret, known)), opened)
        frames.append(replace(one, frame_number=number, item_bytes=frame.item_bytes, mark=header.mark))
    return replace(header, frames=tuple(frames))
