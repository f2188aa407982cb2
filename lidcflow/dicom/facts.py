"""The part of a header that the slices of a series mostly share, read once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from lidcflow.dicom.records import Acquisition, PixelFormat
from lidcflow.dicom.syntaxes import is_lossy
from lidcflow.dicom.values import integer_of, label_of, number_of, numbers_of, text_of
from lidcflow.privacy import hash_patient_id

COMMON_KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "ContrastBolusAgent",
    "KVP",
    "SliceThickness",
    "ConvolutionKernel",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ImageOrientationPatient",
    "AcquisitionNumber",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "LossyImageCompression",
    "PatientPosition",
    "TemporalPositionIdentifier",
    "ConcatenationUID",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
)
LOSSY = "01"
COMMON_TAGS = [tag_for_keyword(keyword) for keyword in COMMON_KEYWORDS]


@dataclass(frozen=True, slots=True)
class ConcatenationPart:
    """Which part of a concatenation a multi-frame object is (PS3.3 C.7.6.16.2.2.4).

    Parameters
    ----------
    concatenation_uid : str
        Concatenation UID, the same on all parts.
    number, total : int, optional
        In-concatenation Number, from 1, and In-concatenation Total Number, which may be absent.
    """

    concatenation_uid: str
    number: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Attributes that the headers of a series mostly share; None where absent or invalid.

    Parameters
    ----------
    series_instance_uid, study_instance_uid, sop_class_uid, transfer_syntax_uid, modality : str
        Empty when absent.
    frame_of_reference_uid : str, optional
        Frame of Reference UID.
    patient_key : str, optional
        Keyed hash of the Patient ID; None when there is no Patient ID.
    lossy : bool
        Whether the pixels went through lossy compression, now or before.
    localizer : bool
        Whether the third value of Image Type is LOCALIZER.
    acquisition_number, temporal_position : int, optional
        Acquisition Number and Temporal Position Identifier: which of several passes of the scanner an image is of.
    patient_position : str, optional
        Patient Position, such as HFS: head first, supine.
    part : ConcatenationPart, optional
        Which part of a concatenation the object is.
    orientation : tuple of 6 floats, optional
        Direction cosines of a row, then of a column.
    spacing_mm : tuple of 2 floats, optional
        Distance between rows, and between columns.
    slope, intercept : float, optional
        Rescale Slope and Intercept.
    bits_allocated, high_bit, samples, frames : int, optional
        Bits of a pixel and the highest that counts, values of a pixel, frames of the instance.
    pixels : PixelFormat, optional
        None when matrix, bits or sign are absent.
    acquisition : Acquisition
        Scanner and protocol.
    rescale_type : str, optional
        Rescale Type, the unit of rescaled values; None where the header has none, which means Hounsfield units.
    """

    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    frame_of_reference_uid: str | None
    patient_key: str | None
    lossy: bool
    localizer: bool
    acquisition_number: int | None
    temporal_position: int | None
    patient_position: str | None
    part: ConcatenationPart | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    bits_allocated: int | None
    high_bit: int | None
    samples: int | None
    frames: int | None
    pixels: PixelFormat | None
    acquisition: Acquisition
    rescale_type: str | None = None


def facts_of(dataset: Dataset, transfer_syntax_uid: str, secret: bytes) -> Facts:
    """Read what a series shares from one of its headers.

    Parameters
    ----------
    dataset : Dataset
        Elements of a header, decoded or not.
    transfer_syntax_uid : str
        How the file is encoded.
    secret : bytes
        Key of the patient hash.
    """
    patient_id = text_of(dataset.get("PatientID"))
    return Facts(
        series_instance_uid=text_of(dataset.get("SeriesInstanceUID")) or "",
        study_instance_uid=text_of(dataset.get("StudyInstanceUID")) or "",
        sop_class_uid=text_of(dataset.get("SOPClassUID")) or "",
        transfer_syntax_uid=transfer_syntax_uid,
        modality=text_of(dataset.get("Modality")) or "",
        frame_of_reference_uid=text_of(dataset.get("FrameOfReferenceUID")),
        patient_key=hash_patient_id(patient_id, secret) if patient_id else None,
        lossy=is_lossy(transfer_syntax_uid) or text_of(dataset.get("LossyImageCompression")) == LOSSY,
        localizer="LOCALIZER" in (text_of(dataset.get("ImageType")) or "").upper().split("\\"),
        acquisition_number=integer_of(dataset.get("AcquisitionNumber")),
        temporal_position=integer_of(dataset.get("TemporalPositionIdentifier")),
        patient_position=label_of(dataset.get("PatientPosition")),
        part=_part(dataset),
        orientation=numbers_of(dataset.get("ImageOrientationPatient"), 6),
        spacing_mm=numbers_of(dataset.get("PixelSpacing"), 2),
        slope=number_of(dataset.get("RescaleSlope")),
        intercept=number_of(dataset.get("RescaleIntercept")),
        bits_allocated=integer_of(dataset.get("BitsAllocated")),
        high_bit=integer_of(dataset.get("HighBit")),
        samples=integer_of(dataset.get("SamplesPerPixel", 1)),
        frames=integer_of(dataset.get("NumberOfFrames", 1)),
        pixels=_pixels(dataset),
        acquisition=_acquisition(dataset),
        rescale_type=label_of(dataset.get("RescaleType")),
    )


def _part(dataset: Dataset) -> ConcatenationPart | None:
    uid = text_of(dataset.get("ConcatenationUID"))
    if uid is None:
        return None
    number, total = dataset.get("InConcatenationNumber"), dataset.get("InConcatenationTotalNumber")
    return ConcatenationPart(uid, integer_of(number), integer_of(total))


def _pixels(dataset: Dataset) -> PixelFormat | None:
    rows, columns = integer_of(dataset.get("Rows")), integer_of(dataset.get("Columns"))
    bits, sign = integer_of(dataset.get("BitsStored")), integer_of(dataset.get("PixelRepresentation"))
    if rows is None or columns is None or bits is None or sign is None:
        return None
    return PixelFormat(rows, columns, bits, bool(sign), _padding(dataset, bool(sign)))


def _padding(dataset: Dataset, signed: bool) -> tuple[int, int] | None:
    """Return the range of stored values that mean padding.

    Signed images carry padding such as 63536 for -2000: the field writes the VR US where SS is due.
    """
    value = integer_of(dataset.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = integer_of(dataset.get("PixelPaddingRangeLimit"))
    ends = sorted(_stored(end, signed) for end in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _stored(value: int, signed: bool) -> int:
    """Read 16 bits as signed or unsigned."""
    value &= 0xFFFF
    return value - 0x10000 if signed and value >= 0x8000 else value


def _acquisition(dataset: Dataset) -> Acquisition:
    agent: Any = dataset.get("ContrastBolusAgent")
    return Acquisition(
        manufacturer=label_of(dataset.get("Manufacturer")),
        model=label_of(dataset.get("ManufacturerModelName")),
        kernel=label_of(dataset.get("ConvolutionKernel")),
        kvp=number_of(dataset.get("KVP")),
        slice_thickness_mm=number_of(dataset.get("SliceThickness")),
        contrast=None if agent is None else bool(text_of(agent)),
    )
