"""Separate the slices of a series from localizers, secondary captures and second copies that share its UID."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lidcflow.config import Access
from lidcflow.dicom.enhanced import CT_CLASSES, ENHANCED_CT_IMAGES
from lidcflow.dicom.records import SourceSlice, VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.headers import checks
from lidcflow.headers.checks import are_ct, series_refusal
from lidcflow.headers.concerned import images_concerned, named
from lidcflow.headers.header import Header
from lidcflow.pixels.compare import Pair, differing
from lidcflow.pixels.encoded import raw_pixels
from lidcflow.series.concatenation import are_parts, ordered_parts
from lidcflow.series.passes import differing_attribute

SAME_POSITION_MM = 1e-3

HeaderPair = tuple[Header, Header]


def n_images(headers: Sequence[Header]) -> int:
    """Count the images of files: a multi-frame object has as many as it has frames."""
    return sum(len(header.frames) or 1 for header in headers)


def usable_images(headers: Sequence[Header]) -> list[Header]:
    """Exclude images that are not slices; refuse a series that cannot form one volume.

    Parameters
    ----------
    headers : sequence of Header
        Files of one series, of copies the best one first.

    Returns
    -------
    list of Header
        Classic images, or the frames of one multi-frame object.

    Raises
    ------
    SeriesRefused
        If nothing in it is a CT image, all are localizers, or multi-frame objects and other images are mixed.
    """
    are_ct(headers)
    scans = [header for header in headers if header.facts.sop_class_uid in CT_CLASSES]
    slices = _without_localizers(scans)
    multi = {header.sop_instance_uid: header for header in reversed(slices) if _is_multi_frame(header)}
    if multi:
        return _frames(headers, list(multi.values()), sum(not _is_multi_frame(header) for header in slices))
    if not slices:
        raise _only_localizers(headers, scans)
    return _without_copies(slices)


def _is_multi_frame(header: Header) -> bool:
    return header.facts.sop_class_uid in ENHANCED_CT_IMAGES or (header.facts.frames or 1) > 1


def _without_localizers(headers: Sequence[Header]) -> list[Header]:
    return [header for header in headers if not header.facts.localizer]


def _only_localizers(headers: Sequence[Header], localizers: Sequence[Header]) -> Exception:
    sentence = (
        f"images must be slices, got {len(localizers)} localizers, the first {named(localizers[0])}; "
        "find the series that was planned on them"
    )
    return series_refusal(headers, VerdictReason.LOCALIZER, sentence)


def _frames(headers: Sequence[Header], objects: list[Header], n_single: int) -> list[Header]:
    """Return the frames of a multi-frame object, distinguished by the standard's functional groups.

    The object may lie in several instances: the parts of one concatenation.
    """
    first = min(objects, key=lambda header: header.facts.sop_class_uid in ENHANCED_CT_IMAGES)
    if first.facts.sop_class_uid not in ENHANCED_CT_IMAGES:
        several = [header for header in objects if header.facts.sop_class_uid not in ENHANCED_CT_IMAGES]
        sentence = (
            f"NumberOfFrames of classic CT images must be 1, got {first.facts.frames} frames "
            f"{images_concerned([first, *several[1:]], headers)}; export the series as enhanced CT, or a file for each "
            "slice"
        )
        raise series_refusal(headers, VerdictReason.MULTI_FRAME, sentence)
    if n_single or (len(objects) > 1 and not are_parts(objects)):
        sentence = (
            f"a series must be classic images or one multi-frame object, got {len(objects)} multi-frame objects and "
            f"{n_single} classic images, the first object {named(objects[0])}; separate them at the source"
        )
        raise series_refusal(headers, VerdictReason.MULTI_FRAME, sentence)
    parts = ordered_parts(headers, objects)
    for part in parts:
        if part.fault:
            sentence = f"{part.fault} in instance {named(part)}; export the series again, or as classic CT"
            raise series_refusal(headers, VerdictReason.MULTI_FRAME, sentence)
    every = [frame for part in parts for frame in part.frames]
    frames = _without_localizers(every)
    if not frames:
        raise _only_localizers(headers, every)
    return frames


def _without_copies(headers: list[Header]) -> list[Header]:
    """Keep one file for each instance; the same UID at two places is not a copy."""
    first: dict[str, Header] = {}
    moved = []
    for header in headers:
        kept = first.setdefault(header.sop_instance_uid, header)
        moved += [header] if kept.position_mm != header.position_mm else []
    if moved:
        sentence = (
            f"a SOPInstanceUID must stand for one image, got one at two positions for {len(moved)} of {len(headers)} "
            f"images, the first {named(moved[0])}; export the series again, it can't be traced to its images"
        )
        raise series_refusal(headers, VerdictReason.BAD_UID, sentence)
    return list(first.values())


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
    """Return whether format, rescale, encoding and pixel bytes are the same; stop at the first that differs.

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
        raise series_refusal(headers, VerdictReason.UNREADABLE, sentence) from None


def _mixed(group: Sequence[Header], headers: Sequence[Header], z_mm: float, doubled: int) -> Exception:
    """Make the refusal: of two acquisitions, where the images say that they are."""
    first = f"the first at z = {z_mm:.2f} mm in {named(group[0])}"
    found = f"got {doubled} of {len(headers)} at the position of another, {first}"
    differing = differing_attribute(group)
    if differing:
        sentence = (
            f"slices must be of one acquisition, {found}: {differing} differ there, two acquisitions in one series"
        )
        return series_refusal(headers, VerdictReason.MIXED_ACQUISITIONS, f"{sentence}; separate them at the source")
    sentence = (
        f"slices must have positions of their own, {found}; separate what differs at the source, "
        "and of images that were sent twice in other encodings remove one"
    )
    return series_refusal(headers, VerdictReason.DUPLICATE_POSITIONS, sentence)


def copies_of(images: Sequence[Header], headers: Sequence[Header]) -> list[HeaderPair]:
    """Pair each image that is used with every other file of its SOPInstanceUID, frames one by one.

    A copy that can't be read for itself is left out: it is set aside, and the sound one is used. So is a second name
    of the same file.

    Parameters
    ----------
    images : sequence of Header
        The images of the series that passed all checks.
    headers : sequence of Header
        All files of the series.
    """
    if len({header.sop_instance_uid for header in headers}) == len(headers):
        return []
    used: defaultdict[str, list[Header]] = defaultdict(list)
    for image in images:
        used[image.sop_instance_uid].append(image)
    return [
        pair
        for header in headers
        if (own := used.get(header.sop_instance_uid)) and _is_other_file(header, own[0])
        for pair in _paired(own, header)
    ]


def require_one_image(headers: Sequence[Header], pairs: Sequence[Pair], access: Access) -> None:
    """Refuse a series in which a SOPInstanceUID stands for two images.

    Parameters
    ----------
    headers : sequence of Header
        All files of the series.
    pairs : sequence of pairs of SourceSlice
        From `copies_of`.
    access : Access
        How buckets and PACS are reached.

    Raises
    ------
    SeriesRefused
        If the pixels of copies differ, or can't be compared.
    """
    found = differing(pairs, access)
    if found is None:
        sentence = (
            f"copies of an instance must have pixels that can be read, got {len(pairs)} copies and some that have not; "
            "copy the files again, or remove the copies"
        )
        raise checks.series_refusal(headers, VerdictReason.UNREADABLE, sentence)
    if found:
        uids = sorted({one.sop_instance_uid for one, _ in found})
        sentence = (
            f"a SOPInstanceUID must stand for one image, got {len(uids)} with other pixels in a second file, "
            f"the first {uids[0]}; the series can't be traced to its images, export it again"
        )
        raise checks.series_refusal(headers, VerdictReason.BAD_UID, sentence)


def _is_other_file(copy: Header, used: Header) -> bool:
    same = copy.path == used.path or (bool(copy.version) and copy.version == used.version)
    return not same and _is_sound(copy)


def _is_sound(copy: Header) -> bool:
    images = copy.frames or (copy,)
    try:
        checks.are_readable(images)
        checks.have_rescale(images)
        checks.are_whole(images)
    except SeriesRefused:
        return False
    return True


def _paired(used: Sequence[Header], copy: Header) -> Iterator[HeaderPair]:
    frames = {frame.frame_number: frame for frame in copy.frames or (copy,)}
    for image in used:
        if image.frame_number in frames:
            yield image, frames[image.frame_number]
