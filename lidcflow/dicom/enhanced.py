"""Read the frames of an enhanced multi-frame CT object: what each is, and where its pixels lie."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.tag import Tag

from lidcflow.dicom.elements import HEADER_BYTES, BoundedStream, Budget, Parsed, PixelElement, parse_stream
from lidcflow.dicom.frames import FrameError, frame_spans
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout

ENHANCED_CT_IMAGES = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
"""Enhanced CT Image Storage, and the one that classic images were converted to."""

CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT_IMAGES})
"""The SOP classes of CT, that of classic images first of all."""

MOST_FRAMES = 10_000
"""A patient of 2 m in steps of 0.2 mm."""


def _tag(keyword: str) -> int:
    return int(Tag(keyword))


SHARED, PER_FRAME = _tag("SharedFunctionalGroupsSequence"), _tag("PerFrameFunctionalGroupsSequence")
OFFSETS = _tag("ExtendedOffsetTable")
_PROTOCOL = {"ConvolutionKernel": "ConvolutionKernel", "KVP": "KVP", "AcquisitionNumber": "AcquisitionNumber"}
GROUPS = {
    _tag(group): {_tag(inner): _tag(outer) for inner, outer in values.items()}
    for group, values in {
        "UnassignedSharedConvertedAttributesSequence": _PROTOCOL,
        "UnassignedPerFrameConvertedAttributesSequence": _PROTOCOL,
        "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
        "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
        "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
        "PixelValueTransformationSequence": {
            "RescaleIntercept": "RescaleIntercept",
            "RescaleSlope": "RescaleSlope",
            "RescaleType": "RescaleType",
        },
        "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
        "CTXRayDetailsSequence": {"KVP": "KVP"},
        "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
        "FrameContentSequence": {
            "FrameAcquisitionNumber": "AcquisitionNumber",
            "FrameAcquisitionDateTime": "AcquisitionTime",
            "TemporalPositionIndex": "TemporalPositionIdentifier",
        },
    }.items()
}
"""Elements that the index takes from each functional group, with the equivalent attribute of a classic image."""


class Frame(NamedTuple):
    """One frame, as if it were the file of a classic image.

    Parameters
    ----------
    elements : dict
        Undecoded elements by tag.
    pixels : tuple, optional
        Offset of its pixels, and their length, None when encapsulated; None when there are none.
    item_bytes : int, optional
        Length of the items of an encapsulated frame, where known.
    """

    elements: dict[int, Any]
    pixels: PixelElement | None
    item_bytes: int | None


def frames_of(file: BinaryIO, parsed: Parsed, n_frames: int | None, frame_bytes: int) -> list[Frame]:
    """Read the functional groups of a multi-frame object, and find its frames.

    Parameters
    ----------
    file : binary stream
        The file.
    parsed : Parsed
        What it says of the object as a whole.
    n_frames : int, optional
        Number of Frames.
    frame_bytes : int
        Size of one frame that is not compressed.

    Returns
    -------
    list of Frame
        In the order of the file.

    Raises
    ------
    FrameError
        If groups and frames do not fit together; its text says how.

    References
    ----------
    DICOM PS3.3 C.7.6.16, Multi-frame Functional Groups.
    """
    if n_frames is None or not 1 <= n_frames <= MOST_FRAMES:
        raise FrameError(f"NumberOfFrames must be 1 to {MOST_FRAMES}, got {'none' if n_frames is None else n_frames}")
    budget = Budget()
    groups = parse_stream(file, [SHARED, PER_FRAME, OFFSETS], budget, HEADER_BYTES)
    places = list(_places(file, groups, n_frames, frame_bytes))
    per_frame = _items(groups.elements.get(PER_FRAME), budget)
    if len(per_frame) != n_frames:
        raise FrameError(f"functional groups must be one for each frame, got {len(per_frame)} for {n_frames} frames")
    shared = _items(groups.elements.get(SHARED), budget)
    common = parsed.elements | (_flat(shared[0], budget) if shared else {})
    return [Frame(common | _flat(item, budget), *place) for item, place in zip(per_frame, places, strict=True)]


def _places(
    file: BinaryIO, groups: Parsed, n_frames: int, frame_bytes: int
) -> Iterator[tuple[PixelElement | None, int | None]]:
    """Yield where each frame is, and the length of its items; the last one has what is too much or too little."""
    if groups.pixels is None:
        yield from [(None, None)] * n_frames
        return
    offset, n_bytes = groups.pixels
    if n_bytes is None and pixel_layout(groups.syntax) is not PixelLayout.ENCAPSULATED:
        yield from [((offset, None), None)] * n_frames  # the syntax is wrong: the rules for pixels say so
        return
    if n_bytes is None and pixel_layout(groups.syntax) is PixelLayout.ENCAPSULATED:
        table = groups.elements.get(OFFSETS)
        for start, length in frame_spans(file, offset, n_frames, table.value if table else None):
            yield (start, None), length
        return
    for number in range(n_frames):
        left = (n_bytes or 0) - number * frame_bytes
        here = left if number == n_frames - 1 else min(left, frame_bytes)
        yield (offset + number * frame_bytes, max(here, 0)), None


def _flat(groups: Dataset, budget: Budget) -> dict[int, Any]:
    """Take what the index needs out of the functional groups of one frame, or of all."""
    found: dict[int, Any] = {}
    for group, values in GROUPS.items():
        items = _items(groups.get_item(group) if group in groups else None, budget)
        for inner, outer in values.items() if items else ():
            if inner in items[0]:
                found[outer] = _renamed(items[0].get_item(inner), outer)
    return found


def _renamed(element: Any, tag: int) -> Any:
    """Return an element under the tag of a classic image; an implicit data set takes its VR from the tag."""
    if not isinstance(element, RawDataElement):
        return element
    return element._replace(tag=tag, VR=element.VR or dictionary_VR(element.tag))


def _items(element: Any, budget: Budget) -> list[Dataset]:
    """Return the items of a sequence; those of defined length are parsed here, within the budget."""
    if not isinstance(element, RawDataElement):
        return list(element.value) if element is not None and element.VR == "SQ" else []
    content = element.value or b""
    stream = cast(BinaryIO, BoundedStream(io.BytesIO(content), budget))
    return list(read_sequence(stream, element.is_implicit_VR, element.is_little_endian, len(content), "iso8859"))
