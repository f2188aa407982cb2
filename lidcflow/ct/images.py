"""Tell the slices of a series from what shares its UID: localizers, secondary captures, second copies."""

from __future__ import annotations

from collections.abc import Sequence

from lidcflow.ct.checks import are_ct, refusal
from lidcflow.ct.concatenation import are_parts, in_order
from lidcflow.ct.enhanced import CT_CLASSES, ENHANCED_CT_IMAGES
from lidcflow.ct.headers import Header
from lidcflow.ct.records import Reason
from lidcflow.ct.wording import found_in, named


def n_images(headers: Sequence[Header]) -> int:
    """Count the images of files: a multi-frame object has as many as it has frames."""
    return sum(len(header.frames) or 1 for header in headers)


def images_of(headers: Sequence[Header]) -> list[Header]:
    """Set aside what is no slice; refuse what can't be one volume.

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
    return refusal(headers, Reason.LOCALIZER, sentence)


def _frames(headers: Sequence[Header], objects: list[Header], n_single: int) -> list[Header]:
    """Return the frames of a multi-frame object, as the standard's functional groups tell them apart.

    The object may lie in several instances: the parts of one concatenation.
    """
    first = min(objects, key=lambda header: header.facts.sop_class_uid in ENHANCED_CT_IMAGES)
    if first.facts.sop_class_uid not in ENHANCED_CT_IMAGES:
        several = [header for header in objects if header.facts.sop_class_uid not in ENHANCED_CT_IMAGES]
        sentence = (
            f"NumberOfFrames of classic CT images must be 1, got {first.facts.frames} frames "
            f"{found_in([first, *several[1:]], headers)}; export the series as enhanced CT, or a file for each slice"
        )
        raise refusal(headers, Reason.MULTI_FRAME, sentence)
    if n_single or (len(objects) > 1 and not are_parts(objects)):
        sentence = (
            f"a series must be classic images or one multi-frame object, got {len(objects)} multi-frame objects and "
            f"{n_single} classic images, the first object {named(objects[0])}; separate them at the source"
        )
        raise refusal(headers, Reason.MULTI_FRAME, sentence)
    parts = in_order(headers, objects)
    for part in parts:
        if part.fault:
            sentence = f"{part.fault} in instance {named(part)}; export the series again, or as classic CT"
            raise refusal(headers, Reason.MULTI_FRAME, sentence)
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
        raise refusal(headers, Reason.BAD_UID, sentence)
    return list(first.values())
