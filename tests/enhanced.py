"""Enhanced multi-frame CT objects, made from the files of a classic series."""

from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame
from pydicom.uid import EnhancedCTImageStorage

PER_FRAME_KEYWORDS = (
    "SOPInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ConvolutionKernel",
    "KVP",
    "AcquisitionNumber",
    "ImageType",
    "PixelData",
    "SliceLocation",
)


def to_enhanced(
    folder: Path,
    *,
    shared: bool = True,
    table: str | None = "basic",
    fragments: int = 1,
    change: Callable[[Dataset], None] | None = None,
) -> Path:
    """Replace the files of a folder by one enhanced object of the same pixels.

    What is the same on all slices goes to the shared functional groups, unless `shared` is False. `table` is the
    offset table of compressed frames: ``basic``, ``extended`` or None. `change` edits the data set before it is
    written.
    """
    paths = sorted(folder.iterdir())
    slices = [pydicom.dcmread(path) for path in paths]
    enhanced = _common(slices[0])
    enhanced.NumberOfFrames = len(slices)
    groups = [[*_positions(one), *_rest(one)] for one in slices]
    common = [group for group in groups[0] if shared and all(group in of_one for of_one in groups)]
    enhanced.SharedFunctionalGroupsSequence = [_item(common)]
    enhanced.PerFrameFunctionalGroupsSequence = [
        _item([group for group in of_one if group not in common]) for of_one in groups
    ]
    _set_pixels(enhanced, slices, table, fragments)
    if change:
        change(enhanced)
    for path in paths:
        path.unlink()
    enhanced.save_as(folder / "enhanced.dcm", enforce_file_format=True)
    return folder


def _common(one: Dataset) -> Dataset:
    """Copy what a slice says of the series; pydicom keeps the encoding of a data set that it read."""
    dataset = Dataset()
    for element in one:
        if element.keyword not in PER_FRAME_KEYWORDS:
            dataset.add(element)
    dataset.file_meta = one.file_meta
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{one.SeriesInstanceUID}.1"[-64:]
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    return dataset


def _positions(one: Dataset) -> list[tuple[str, Dataset]]:
    content = Dataset()
    content.FrameAcquisitionNumber = one.get("AcquisitionNumber", 1)
    return [
        ("PlanePositionSequence", _picked(one, "ImagePositionPatient")),
        ("FrameContentSequence", content),
    ]


def _rest(one: Dataset) -> list[tuple[str, Dataset]]:
    kind = Dataset()
    kind.FrameType = [*one.ImageType[:3], "NONE"]
    return [
        ("PlaneOrientationSequence", _picked(one, "ImageOrientationPatient")),
        ("PixelMeasuresSequence", _picked(one, "PixelSpacing", "SliceThickness")),
        ("PixelValueTransformationSequence", _picked(one, "RescaleIntercept", "RescaleSlope", "RescaleType")),
        ("CTReconstructionSequence", _picked(one, "ConvolutionKernel")),
        ("CTXRayDetailsSequence", _picked(one, "KVP")),
        ("CTImageFrameTypeSequence", kind),
    ]


def _picked(one: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in one:
            item.add(one[keyword])
    return item


def _item(groups: list[tuple[str, Dataset]]) -> Dataset:
    item = Dataset()
    for keyword, content in groups:
        setattr(item, keyword, [content])
    return item


def _set_pixels(enhanced: Dataset, slices: list[Dataset], table: str | None, fragments: int) -> None:
    syntax = enhanced.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        enhanced.PixelData = b"".join(one.PixelData for one in slices)
        enhanced["PixelData"].VR = "OW"
        return
    frames = [get_frame(one.PixelData, 0) for one in slices]
    if table == "extended":
        content, enhanced.ExtendedOffsetTable, enhanced.ExtendedOffsetTableLengths = encapsulate_extended(frames)
        enhanced.PixelData = content
    else:
        enhanced.PixelData = encapsulate(frames, has_bot=table == "basic", fragments_per_frame=fragments)
    enhanced["PixelData"].VR = "OB"
    enhanced["PixelData"].is_undefined_length = True
