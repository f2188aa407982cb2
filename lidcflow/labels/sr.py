"""Ratings of nodules in DICOM Structured Reports of TID 1500, and where they say that the nodules are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom
import numpy as np
from highdicom.sr.utils import find_content_items
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from lidcflow.dicom.quiet import quiet
from lidcflow.labels.readings import CLASS_RATINGS, Book, MarkedSlice, Origin, Problem, Reading, UnusedReason, is_rating
from lidcflow.labels.seg import Segment

NAMES = {("rid36042", "radlex"), ("900", "99lidcqiicr")}
"""Concepts that mean malignancy: the two that the public conversions of LIDC-IDRI to DICOM wrote."""

MEANING = "malignancy"
"""Meaning by which any other concept is recognised: there is no standard code for a rating of 1 to 5."""

VALUES = {("21594007", "sct"): CLASS_RATINGS["malignant"], ("30807003", "sct"): CLASS_RATINGS["benign"]} | {
    (f"90{rating}", "99lidcqiicr"): float(rating) for rating in range(1, 6)
}
OUT_OF_5 = re.compile(r"([1-5]) out of 5\b")


TEMPLATE = "1500"

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

SEGMENTATIONS = frozenset({SegmentationStorage, LABEL_MAP_STORAGE})

Segments = Mapping[tuple[str, int], Segment]


def rating_of(items: Iterable[Dataset]) -> float | None:
    """Return the malignancy among the content items of a measurement group.

    Parameters
    ----------
    items : iterable of Dataset
        Content items; a coded value or a number counts.

    Returns
    -------
    float or None
        None where there is none; not a number where there is one that is not known here.
    """
    for item in items:
        if item.get("ValueType") in ("CODE", "NUM") and _means_malignancy(item):
            return _coded(item) if item.ValueType == "CODE" else _measured(item)
    return None


def _means_malignancy(item: Dataset) -> bool:
    name = item.ConceptNameCodeSequence[0]
    return _code(name) in NAMES or str(name.get("CodeMeaning", "")).strip().lower() == MEANING


def _coded(item: Dataset) -> float:
    value = item.ConceptCodeSequence[0]
    meaning = str(value.get("CodeMeaning", "")).strip().lower()
    if rating := VALUES.get(_code(value)) or CLASS_RATINGS.get(meaning):
        return rating
    told = OUT_OF_5.match(meaning)
    return float(told[1]) if told else math.nan


def _measured(item: Dataset) -> float:
    values = item.get("MeasuredValueSequence") or []
    return float(values[0].NumericValue) if values else math.nan


def _code(concept: Dataset) -> tuple[str, str]:
    return str(concept.get("CodeValue", "")).lower(), str(concept.get("CodingSchemeDesignator", "")).lower()


class _Wrong(Exception):
    """A measurement group that can't be used."""

    def __init__(self, reason: UnusedReason, sentence: str, series_uid: str | None = None) -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.sentence = sentence
        self.series_uid = series_uid


@dataclass(frozen=True, eq=False)
class _Place:
    """The location of the nodule of a measurement group."""

    series_uids: frozenset[str]
    marks: tuple[MarkedSlice, ...]
    segments: frozenset[tuple[str, int]] = frozenset()


def read_report(file: Path, segments: Segments) -> tuple[Book, frozenset[tuple[str, int]]]:
    """Read the rated measurement groups of a report.

    Parameters
    ----------
    file : Path
        A DICOM Structured Report.
    segments : mapping of SOPInstanceUID and segment number to Segment
        Every segment at hand.

    Returns
    -------
    Book
        Empty where the report is not of TID 1500, or rates no malignancy: it is about something else.
    frozenset
        The segments that a rated group refers to.

    References
    ----------
    DICOM PS3.16 TID 1500, Measurement Report; TID 1410, 1411 and 1501, its groups.
    """
    book, used = Book(), set[tuple[str, int]]()
    with quiet():
        report = highdicom.sr.srread(file)
        series_of = {
            str(image): str(series) for _, series, image, kind in report.get_evidence() if kind not in SEGMENTATIONS
        }
        uid = str(report.SOPInstanceUID)
        groups = _groups(report)
        if all(rating_of(group.get("ContentSequence", [])) is None for group in groups):
            return book, frozenset()
        for number, group in enumerate(groups, start=1):
            origin = Origin("sr", uid, f"measurement group {number}")
            try:
                reading, place = _reading(group, origin, segments, series_of)
            except _Wrong as wrong:
                book.problems.append(Problem(origin, wrong.reason, wrong.sentence, wrong.series_uid))
                continue
            book.readings.append(reading)
            book.read.setdefault(reading.series_instance_uid, origin)
            used |= place.segments
    return book, frozenset(used)


def named_by_shared_ids(readings: Iterable[Reading]) -> list[Reading]:
    """Keep only those tracking identifiers that several readings share: the others say nothing of each other."""
    kept = list(readings)
    shared = Counter((reading.series_instance_uid, reading.nodule_id) for reading in kept)
    return [
        reading if shared[reading.series_instance_uid, reading.nodule_id] > 1 else replace(reading, nodule_id="")
        for reading in kept
    ]


def _groups(report: Dataset) -> list[Dataset]:
    templates = report.get("ContentTemplateSequence", [])
    if not templates or templates[0].get("TemplateIdentifier") != TEMPLATE:
        return []
    containers = _children(report, "CONTAINER")
    measurements = [item for item in containers if _is(item, codes.DCM.ImagingMeasurements)]
    return [group for part in measurements for group in _children(part, "CONTAINER")]


def _reading(
    group: Dataset, origin: Origin, segments: Segments, series_of: Mapping[str, str]
) -> tuple[Reading, _Place]:
    place = _place(group, segments, series_of)
    if len(place.series_uids) != 1:
        raise _Wrong(
            UnusedReason.MALFORMED,
            f"a measurement group must refer to images of one series that the report lists as evidence, "
            f"got {len(place.series_uids)}; write it anew",
        )
    (series_uid,) = place.series_uids
    rating = rating_of(group.get("ContentSequence", []))
    if rating is None:
        sentence = "a measurement group must hold a malignancy, coded or as a number, got none; rate it"
        raise _Wrong(UnusedReason.NO_RATING, sentence, series_uid)
    if not is_rating(rating):
        sentence = "a malignancy must be 1 to 5, or benign or malignant, got something else; rate it on that scale"
        raise _Wrong(UnusedReason.RATING_OUT_OF_RANGE, sentence, series_uid)
    if not place.marks:
        sentence = "a rated measurement group must refer to a region, a segment or images, got none of them"
        raise _Wrong(UnusedReason.MALFORMED, sentence, series_uid)
    tracked = [str(item.UID) for item in _children(group, "UIDREF") if _is(item, codes.DCM.TrackingUniqueIdentifier)]
    nodule_id = tracked[0] if tracked else ""
    return Reading(series_uid, rating, origin, place.marks, reader=origin.file, nodule_id=nodule_id), place


def _place(group: Dataset, segments: Segments, series_of: Mapping[str, str]) -> _Place:
    """Find where a group is: segments first, then regions, then images as a whole."""
    images = _children(group, "IMAGE")
    if referred := [key for item in images for key in _segment_keys(item)]:
        return _segment_place(referred, images, segments, series_of)
    regions = [mark for item in _children(group, "SCOORD") for mark in _region(item)]
    if spatial := [mark for item in _children(group, "SCOORD3D") for mark in _spatial(item)]:
        return _Place(frozenset(series_of.values()), tuple(spatial))
    marks = regions or [MarkedSlice(sop_instance_uid=_image_uid(item)) for item in images]
    found = {series_of.get(mark.sop_instance_uid or "", "") for mark in marks}
    return _Place(frozenset(found - {""}), tuple(marks))


def _segment_place(
    keys: list[tuple[str, int]], images: list[Dataset], segments: Segments, series_of: Mapping[str, str]
) -> _Place:
    if lacking := next((key for key in keys if key not in segments), None):
        sources = [series_of.get(_image_uid(item)) for item in images if not _segment_keys(item)]
        raise _Wrong(
            UnusedReason.NO_SEGMENT,
            f"the segmentation that a group refers to must be among the sources, got none with SOPInstanceUID "
            f"{lacking[0]} and segment {lacking[1]}; add the file",
            next((uid for uid in sources if uid), None),
        )
    frames = {int(frame) for item in images for frame in _frame_numbers(item) if _segment_keys(item)}
    marks = [mark for key in keys for number, mark in segments[key].frames.items() if not frames or number in frames]
    return _Place(frozenset(segments[key].series_instance_uid for key in keys), tuple(marks), frozenset(keys))


def _segment_keys(item: Dataset) -> list[tuple[str, int]]:
    reference = item.ReferencedSOPSequence[0]
    if reference.ReferencedSOPClassUID not in SEGMENTATIONS:
        return []
    return [(_image_uid(item), int(number)) for number in _several(reference.get("ReferencedSegmentNumber"))]


def _frame_numbers(item: Dataset) -> list[int]:
    return _several(item.ReferencedSOPSequence[0].get("ReferencedFrameNumber"))


def _several(value: object) -> list[int]:
    if value is None:
        return []
    return [int(number) for number in np.atleast_1d(np.asarray(value, dtype=np.int64))]


def _region(item: Dataset) -> Iterator[MarkedSlice]:
    """Yield the mark of a region in an image: (column, row) from the corner of the first pixel (PS3.3 C.18.6)."""
    coordinates: NDArray[np.float64] = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 2)
    for image in _children(item, "IMAGE"):
        points = np.floor(coordinates[:, ::-1]).astype(np.int64)
        yield MarkedSlice(sop_instance_uid=_image_uid(image), points=points)


def _spatial(item: Dataset) -> list[MarkedSlice]:
    """Return the marks of a region in space: patient coordinates in mm (PS3.3 C.18.9)."""
    coordinates: NDArray[np.float64] = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 3)
    return [MarkedSlice(z_mm=float(z_mm)) for z_mm in np.unique(coordinates[:, 2])]


def _image_uid(item: Dataset) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _children(item: Dataset, value_type: str) -> list[Dataset]:
    return list(find_content_items(item, value_type=value_type)) if "ContentSequence" in item else []


def _is(item: Dataset, code: object) -> bool:
    return bool(item.name == code)
