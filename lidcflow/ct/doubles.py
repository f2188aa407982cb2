"""Tell slices at one position that are the same image twice from two images: by the bytes of their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lidcflow.config import Access
from lidcflow.ct.checks import refusal
from lidcflow.ct.headers import Header
from lidcflow.ct.passes import differing_attribute
from lidcflow.ct.raw import raw_pixels
from lidcflow.ct.records import Reason, SourceSlice
from lidcflow.ct.wording import named

SAME_POSITION_MM = 1e-3


def without_doubles(headers: Sequence[Header], slices: Sequence[SourceSlice], access: Access) -> list[int]:
    """Choose one slice for each position; refuse positions that different images share.

    Pixels are read only where positions are double, one slice at a time.

    Parameters
    ----------
    headers, slices : sequences of the same length
        Of one series, sorted by position.
    access : Access
        How buckets are reached.

    Returns
    -------
    list of int
        Indices of the slices that are kept: of the same image twice the one with the lower InstanceNumber.

    Raises
    ------
    SeriesRefused
        If images at one position differ, or can't be read.
    """
    groups = list(_at_one_position(slices))
    for group in groups:
        if len(group) > 1 and not _are_one_image([slices[i] for i in group], headers, access):
            raise _mixed([headers[i] for i in group], headers, slices[group[0]].z_mm, len(slices) - len(groups))
    return [min(group, key=lambda i: _by_number(slices[i])) for group in groups]


def _at_one_position(slices: Sequence[SourceSlice]) -> Iterator[list[int]]:
    group = [0]
    for i, (upper, lower) in enumerate(pairwise(slices), start=1):
        if upper.z_mm - lower.z_mm > SAME_POSITION_MM:
            yield group
            group = []
        group.append(i)
    yield group


def _by_number(source: SourceSlice) -> tuple[bool, int, int, str]:
    number = source.instance_number
    return number is None, number or 0, source.frame_number or 0, source.sop_instance_uid


def _are_one_image(slices: Sequence[SourceSlice], headers: Sequence[Header], access: Access) -> bool:
    """Tell whether format, rescale, encoding and the bytes of the pixels are the same; stop at the first that differs.

    Other encodings of the same values count as different: no decoder runs in the index.
    """
    kinds = {(s.pixels, s.slope, s.intercept, s.transfer_syntax_uid) for s in slices}
    return len(kinds) == 1 and _are_equal(_digest(source, headers, access) for source in slices)


def _are_equal(digests: Iterator[bytes]) -> bool:
    first = next(digests)
    return all(digest == first for digest in digests)


def _digest(source: SourceSlice, headers: Sequence[Header], access: Access) -> bytes:
    try:
        return hashlib.sha256(raw_pixels(source, access)).digest()
    except OSError as error:
        sentence = (
            f"instance {source.sop_instance_uid}: pixels at a position that occurs twice must be readable, "
            f"got {type(error).__name__}; check the file"
        )
        raise refusal(headers, Reason.UNREADABLE, sentence) from None


def _mixed(group: Sequence[Header], headers: Sequence[Header], z_mm: float, doubled: int) -> Exception:
    """Make the refusal: of two acquisitions, where the images say that they are."""
    first = f"the first at z = {z_mm:.2f} mm in {named(group[0])}"
    found = f"got {doubled} of {len(headers)} at the position of another, {first}"
    differing = differing_attribute(group)
    if differing:
        sentence = (
            f"slices must be of one acquisition, {found}: {differing} differ there, two acquisitions in one series"
        )
        return refusal(headers, Reason.MIXED_ACQUISITIONS, f"{sentence}; separate them at the source")
    sentence = (
        f"slices must have positions of their own, {found}; separate what differs at the source, "
        "and of images that were sent twice in other encodings remove one"
    )
    return refusal(headers, Reason.DUPLICATE_POSITIONS, sentence)
