"""Check that files with one SOPInstanceUID are copies of one image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from lidcflow.config import Access
from lidcflow.ct import checks
from lidcflow.ct.headers import Header
from lidcflow.ct.records import Reason
from lidcflow.ct.same_image import Pair, differing
from lidcflow.errors import SeriesRefused

HeaderPair = tuple[Header, Header]


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
        raise checks.refusal(headers, Reason.UNREADABLE, sentence)
    if found:
        uids = sorted({one.sop_instance_uid for one, _ in found})
        sentence = (
            f"a SOPInstanceUID must stand for one image, got {len(uids)} with other pixels in a second file, "
            f"the first {uids[0]}; the series can't be traced to its images, export it again"
        )
        raise checks.refusal(headers, Reason.BAD_UID, sentence)


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
