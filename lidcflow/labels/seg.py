"""Read the locations of a DICOM Segmentation's segments; ratings come from the reports that refer to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
from highdicom.seg import SegmentationTypeValues
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import binary_erosion

from lidcflow.dicom.geometry import normal_of
from lidcflow.dicom.quiet import quiet
from lidcflow.labels.readings import MarkedSlice

ANATOMY = frozenset({"91723000", "123037004", "T-D000A"})
"""Segmented Property Category of organs (PS3.16 CID 7150), in SNOMED CT and in what was used before."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment: the frames of it that are not empty, and whether it is an organ and nothing that is found in one."""

    segmentation_uid: str
    number: int
    series_instance_uid: str
    is_anatomy: bool
    frames: Mapping[int, MarkedSlice]


def read_segments(file: Path) -> list[Segment]:
    """Read the segments of a file.

    Parameters
    ----------
    file : Path
        A DICOM Segmentation of any type.

    Returns
    -------
    list of Segment
        In the order of their numbers; a segment without a voxel has no frames.

    References
    ----------
    DICOM PS3.3 A.51, Segmentation IOD.
    """
    with quiet(), _opened(file) as segmentation:
        frames: dict[int, dict[int, MarkedSlice]] = {int(number): {} for number in segmentation.segment_numbers}
        for index, group in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
            stored: NDArray[np.unsignedinteger] = segmentation.get_stored_frame(index + 1)
            for number, mask in _masks(segmentation, group, stored):
                if mask.any():
                    frames.setdefault(number, {})[index + 1] = _mark(segmentation, group, mask)
        series_uid = str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
        anatomy = {int(item.SegmentNumber) for item in segmentation.SegmentSequence if _is_anatomy(item)}
    uid = str(segmentation.SOPInstanceUID)
    return [Segment(uid, number, series_uid, number in anatomy, marks) for number, marks in sorted(frames.items())]


@contextmanager
def _opened(file: Path) -> Iterator[highdicom.seg.Segmentation]:
    """Open a segmentation, and close the SQLite database in memory in which highdicom indexes its frames."""
    segmentation = highdicom.seg.segread(file, lazy_frame_retrieval=True)
    with closing(segmentation._db_con):  # highdicom has no way to close it, and Python 3.13 warns of an open one
        yield segmentation


def _masks(
    segmentation: highdicom.seg.Segmentation, group: Dataset, stored: NDArray[np.unsignedinteger]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the segments of a frame and their voxels."""
    if segmentation.segmentation_type == SegmentationTypeValues.LABELMAP:
        yield from ((int(number), stored == number) for number in np.unique(stored) if number)
        return
    half = 0.5 if segmentation.segmentation_type == SegmentationTypeValues.BINARY else _half(segmentation)
    identified = _functional(segmentation, group, "SegmentIdentificationSequence")
    yield int(identified[0].ReferencedSegmentNumber), np.asarray(stored >= half)


def _is_anatomy(segment: Dataset) -> bool:
    return str(segment.SegmentedPropertyCategoryCodeSequence[0].get("CodeValue")) in ANATOMY


def _half(segmentation: Dataset) -> float:
    """Half of a fractional segmentation's full value, above which a pixel counts as inside."""
    return float(segmentation.MaximumFractionalValue) / 2


def _mark(segmentation: Dataset, group: Dataset, mask: NDArray[np.bool_]) -> MarkedSlice:
    position = _functional(segmentation, group, "PlanePositionSequence")[0].ImagePositionPatient
    orientation = _functional(segmentation, group, "PlaneOrientationSequence")[0].ImageOrientationPatient
    return MarkedSlice(
        z_mm=float(np.dot([float(value) for value in position], normal_of([float(value) for value in orientation]))),
        sop_instance_uid=_source_image(segmentation, group),
        points=np.argwhere(mask & ~binary_erosion(mask)),
        matrix=(int(segmentation.Rows), int(segmentation.Columns)),
    )


def _source_image(segmentation: Dataset, group: Dataset) -> str | None:
    """Return the source image of a frame; None if the frame names no image, or several."""
    derivations = _functional(segmentation, group, "DerivationImageSequence")
    images = [image for derivation in derivations for image in derivation.get("SourceImageSequence", [])]
    return str(images[0].ReferencedSOPInstanceUID) if len(images) == 1 else None


def _functional(segmentation: Dataset, group: Dataset, name: str) -> list[Dataset]:
    """Return a functional group of a frame, its own or the one that all frames share."""
    shared = segmentation.get("SharedFunctionalGroupsSequence", [])
    return list(group.get(name) or (shared[0].get(name) if shared else None) or [])
