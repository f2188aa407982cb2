"""Find the frames of encapsulated pixel data: items, offset tables, fragments (PS3.5 section A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO

from lidcflow.dicom.jpeg import END_OF_IMAGE, TAIL_BYTES

ITEM_HEAD = struct.Struct("<LL")
ITEM, END_OF_ITEMS = 0xE000FFFE, 0xE0DDFFFE
"""Tags, as little endian numbers of 32 bits."""

MOST_FRAGMENTS = 100_000
"""Most fragments that are read of one object; encoders write one to ten for each frame."""

Span = tuple[int, int | None]
"""Offset of the first item of a frame, and the length of its items, None when they end with the pixel data."""


class FrameError(ValueError):
    """A multi-frame object with indistinguishable frames; the text names no value but numbers."""


def joined_items(content: bytes, *, tables: int = 1) -> bytes:
    """Join the fragments of a single frame; a missing last delimiter does no harm.

    Parameters
    ----------
    content : bytes
        Encapsulated pixel data, from the offset table on, or the items of a frame.
    tables : int
        Items before the first fragment: the offset table, which the frames of a multi-frame object lack.

    Raises
    ------
    EOFError
        If an item is longer than what is there, or none holds a frame.
    ValueError
        If there is something else than items.
    """
    items: list[bytes] = []
    at = 0
    while at + ITEM_HEAD.size <= len(content):
        tag, length = ITEM_HEAD.unpack_from(content, at)
        at += ITEM_HEAD.size
        if tag == END_OF_ITEMS:
            break
        if tag != ITEM:
            raise ValueError("pixel data that are not made of items")
        items.append(content[at : at + length])
        at += length
    frame = b"".join(items[tables:])
    if at > len(content) or not frame:
        raise EOFError
    return frame


def frame_spans(file: BinaryIO, pixel_offset: int, n_frames: int, extended: bytes | None) -> list[Span]:
    """Find where each frame of encapsulated pixel data lies: by a table, or by looking at the fragments.

    Parameters
    ----------
    file : binary stream
        The file.
    pixel_offset : int
        Of the Basic Offset Table.
    n_frames : int
        Number of Frames.
    extended : bytes, optional
        Extended Offset Table (7FE0,0001).

    Raises
    ------
    FrameError
        If there are fewer fragments than frames, or it can't be told to which they belong.

    References
    ----------
    DICOM PS3.5 section A.4; PS3.3 C.7.6.3.1.8.
    """
    file.seek(pixel_offset)
    tag, length = _item_head(file)
    if tag != ITEM:
        raise FrameError("pixel data must be made of items, got something else")
    basic = file.read(length) if length == 4 * n_frames else b""
    first = pixel_offset + ITEM_HEAD.size + length
    for table, kind in ((extended, "Q"), (basic, "L")):
        if table and len(table) == n_frames * struct.calcsize(f"<{kind}"):
            offsets = struct.unpack(f"<{n_frames}{kind}", table)
            if _is_sound(offsets):
                return _spans([first + offset for offset in offsets])
    return _spans(_starts(file, first, n_frames))


def _item_head(file: BinaryIO) -> tuple[int, int]:
    head = file.read(ITEM_HEAD.size)
    if len(head) < ITEM_HEAD.size:
        return END_OF_ITEMS, 0
    tag, length = ITEM_HEAD.unpack(head)
    return tag, length


def _is_sound(offsets: Sequence[int]) -> bool:
    """Return whether a table starts at the first fragment and ascends, as it must."""
    return offsets[0] == 0 and all(a + ITEM_HEAD.size < b for a, b in pairwise(offsets))


def _spans(starts: list[int]) -> list[Span]:
    return [*((a, b - a) for a, b in pairwise(starts)), (starts[-1], None)]


def _starts(file: BinaryIO, first: int, n_frames: int) -> list[int]:
    """Return where frames start: at every fragment, or after every one that ends an image."""
    fragments = _fragments(file, first)
    if len(fragments) < n_frames:
        raise FrameError(f"frames must be fragments of their own, got {len(fragments)} for {n_frames} frames")
    if len(fragments) == n_frames:
        return [start for start, _ in fragments]
    ends = [_ends_an_image(file, *fragment) for fragment in fragments]
    starts = [start for (start, _), ended in zip(fragments, [True, *ends], strict=False) if ended]
    if len(starts) != n_frames:
        raise FrameError(
            f"fragments must belong to a frame each, got {len(fragments)} of {len(starts)} images for {n_frames} frames"
        )
    return starts


def _fragments(file: BinaryIO, first: int) -> list[tuple[int, int]]:
    """List offset and length of each fragment's item, from the first one to the delimiter or the end of the file."""
    found: list[tuple[int, int]] = []
    at = first
    while len(found) <= MOST_FRAGMENTS:
        file.seek(at)
        tag, length = _item_head(file)
        if tag != ITEM:
            return found
        found.append((at, ITEM_HEAD.size + length))
        at += ITEM_HEAD.size + length
    raise FrameError(f"pixel data must have at most {MOST_FRAGMENTS} fragments, got more")


def _ends_an_image(file: BinaryIO, start: int, length: int) -> bool:
    """Return whether a JPEG, JPEG-LS or JPEG 2000 image ends with a fragment."""
    tail = min(TAIL_BYTES, length)
    file.seek(start + length - tail)
    return END_OF_IMAGE in file.read(tail)
