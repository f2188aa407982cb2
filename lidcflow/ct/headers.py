"""Read the headers of DICOM files, up to where the pixels start."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from pydicom.dataset import Dataset

from lidcflow.ct.elements import (
    INSTANCE_NUMBER,
    POSITION,
    PREFIX_OFFSET,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    Parsed,
    parse_file,
    parse_head,
    plain,
)
from lidcflow.ct.enhanced import ENHANCED_CT_IMAGES, frames_of
from lidcflow.ct.facts import COMMON_TAGS, Facts, facts_of
from lidcflow.ct.frames import FrameError
from lidcflow.ct.quiet import quiet
from lidcflow.ct.values import integer_of, numbers_of, raw_text

DIRECTORY_FILE = f"{os.sep}DICOMDIR"
HEAD_BYTES = 16_384
"""Read at once: headers of CT take 2 to 10 KB, and one read costs a quarter less than many small ones."""

KNOWN_FACTS = 1024
"""Headers whose shared values are remembered; a folder holds the files of a series together."""


class Unread(Enum):
    """Why a file gave no header."""

    NOT_DICOM = "not DICOM"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Header:
    """What the index needs of one file, or of one frame of a multi-frame object.

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
    frame_number : int, optional
        Of a frame, from 1.
    item_bytes : int, optional
        Length of the items of an encapsulated frame, where they do not end with the pixel data.
    frames : tuple of Header
        Frames of an enhanced multi-frame object, in the order of the file.
    fault : str, optional
        What must hold for its frames to be known, and what was found.
    """

    path: str
    sop_instance_uid: str
    instance_number: int | None
    position_mm: tuple[float, ...] | None
    pixel_offset: int | None
    pixel_bytes: int | None
    file_bytes: int
    facts: Facts
    frame_number: int | None = None
    item_bytes: int | None = None
    frames: tuple[Header, ...] = ()
    fault: str | None = None


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
    with quiet():
        return [_read_header(path, secret, known) for path in paths]


def _read_header(path: str, secret: bytes, known: dict[Any, Facts]) -> Header | Unread:
    """Read one header; a mutated file can make pydicom raise anything, so anything is caught."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
            if head[PREFIX_OFFSET : PREFIX_OFFSET + 4] != b"DICM" or path.endswith(DIRECTORY_FILE):
                return Unread.NOT_DICOM
            file_bytes = file.seek(0, io.SEEK_END)
        parsed = parse_head(head) or parse_file(path)
        if SERIES_INSTANCE_UID not in parsed.elements:
            return Unread.UNREADABLE
        header = _header(path, file_bytes, parsed, _shared_facts(parsed, secret, known))
        return _with_frames(header, parsed, secret, known) if _is_enhanced(header) else header
    except Exception:
        return Unread.UNREADABLE


def _shared_facts(parsed: Parsed, secret: bytes, known: dict[Any, Facts]) -> Facts:
    """Decode the shared values once per series: decoding all of them in every file doubles the header pass."""
    key = (parsed.syntax, *(plain(parsed.elements.get(tag)) for tag in COMMON_TAGS))
    if key not in known:
        if len(known) >= KNOWN_FACTS:
            known.clear()
        known[key] = facts_of(Dataset(parsed.elements), parsed.syntax, secret)
    return known[key]


def _header(path: str, file_bytes: int, parsed: Parsed, facts: Facts) -> Header:
    offset, length = parsed.pixels or (None, None)
    return Header(
        path=path,
        sop_instance_uid=raw_text(plain(parsed.elements.get(SOP_INSTANCE_UID))),
        instance_number=integer_of(plain(parsed.elements.get(INSTANCE_NUMBER))),
        position_mm=numbers_of(plain(parsed.elements.get(POSITION)), 3),
        pixel_offset=offset,
        pixel_bytes=length,
        file_bytes=file_bytes,
        facts=facts,
    )


def _is_enhanced(header: Header) -> bool:
    return header.facts.sop_class_uid in ENHANCED_CT_IMAGES


def _with_frames(header: Header, parsed: Parsed, secret: bytes, known: dict[Any, Facts]) -> Header:
    """Add a header for each frame, or what keeps them from being known; what pydicom says of it may name a value."""
    facts = header.facts
    try:
        found = frames_of(header.path, parsed, facts.frames, facts.pixels.n_bytes if facts.pixels else 0)
    except FrameError as error:
        return replace(header, fault=str(error))
    except Exception:
        return replace(header, fault="functional groups must be sound, got some that can't be read")
    frames = []
    for number, frame in enumerate(found, start=1):
        own = Parsed(parsed.syntax, frame.elements, frame.pixels)
        one = _header(header.path, header.file_bytes, own, _shared_facts(own, secret, known))
        frames.append(replace(one, frame_number=number, item_bytes=frame.item_bytes))
    return replace(header, frames=tuple(frames))
