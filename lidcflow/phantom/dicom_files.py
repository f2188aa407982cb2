"""Phantom slices as DICOM CT images, marked as synthetic in every header."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from lidcflow.dicom.records import SYNTHETIC_MANUFACTURER
from lidcflow.labels.lidc import LidcScan
from lidcflow.phantom.scanner import Protocol

MARK = "SYNTHETIC PHANTOM - research use only"
IMPLEMENTATION_UID = "2.25.308231943146423063917837741061213402497"
RESCALE_INTERCEPT_HU = -1024
PADDING = -2000
"""Stored value outside of the circle that was reconstructed, as GE scanners write it."""


@dataclass(frozen=True)
class SeriesHeader:
    """Attributes in the headers of a series.

    Attributes
    ----------
    scan : LidcScan
        Identity and geometry.
    protocol : Protocol
        Nominal acquisition.
    version : str
        Software Versions (0018,1020): the generator and its seed.
    matrix : int
        Rows and columns.
    implicit, padded, upwards : bool
        Implicit VR; padding outside of a circle; numbered from the lowest slice.
    """

    scan: LidcScan
    protocol: Protocol
    version: str
    matrix: int
    implicit: bool
    padded: bool
    upwards: bool


def derived_uid(*parts: object) -> str:
    """Derive a UID from text alone: the same parts, the same UID.

    References
    ----------
    DICOM PS3.5 B.2, UUID derived UID.
    """
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def series_dataset(header: SeriesHeader) -> Dataset:
    """Make the part of the headers that the slices of a series share."""
    dataset = Dataset()
    dataset.file_meta = _file_meta(header)
    _identify(dataset, header)
    _describe(dataset, header)
    _set_pixel_module(dataset, header)
    return dataset


def slice_bytes(dataset: Dataset, header: SeriesHeader, index: int, stored: NDArray[np.int16]) -> bytes:
    """Encode one slice as a DICOM file.

    Parameters
    ----------
    dataset : Dataset
        From `series_dataset`; changed in place.
    header : SeriesHeader
        The series.
    index : int
        Of the slice, 0 at the top of the chest.
    stored : (rows, columns) array of int16
        Pixel values.
    """
    z_mm = float(header.scan.slice_z_mm[index])
    uid = derived_uid(header.version, header.scan.series_instance_uid, index)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.InstanceNumber = instance_number(header, index)
    corner_mm = format_number_as_ds(-0.5 * (header.matrix - 1) * header.scan.pixel_spacing_mm)
    dataset.ImagePositionPatient = [corner_mm, corner_mm, format_number_as_ds(z_mm)]
    dataset.SliceLocation = format_number_as_ds(z_mm)
    dataset.PixelData = stored.astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def instance_number(header: SeriesHeader, index: int) -> int:
    """Number of a slice, from 1: from the top, or from the lowest slice in series numbered upwards."""
    return len(header.scan.slice_z_mm) - index if header.upwards else index + 1


def stored_values(hu: NDArray[np.float32], header: SeriesHeader) -> NDArray[np.int16]:
    """Convert HU to stored values, with padding outside of the circle where the series has it."""
    clipped = np.clip(np.rint(hu), -1024, 3071)
    stored = (clipped - RESCALE_INTERCEPT_HU).astype(np.int16)
    if header.padded:
        line = np.arange(header.matrix) - 0.5 * (header.matrix - 1)
        stored[line[:, None] ** 2 + line**2 > (0.5 * header.matrix) ** 2] = PADDING
    return stored


def _file_meta(header: SeriesHeader) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if header.implicit else ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "LIDCFLOW_PHANTOM"
    return meta


def _identify(dataset: Dataset, header: SeriesHeader) -> None:
    scan = header.scan
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = scan.study_instance_uid, scan.series_instance_uid
    dataset.FrameOfReferenceUID = derived_uid("frame of reference", scan.series_instance_uid)
    dataset.PatientID = scan.patient_id
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "Synthetic image: no patient"
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, keyword, "")
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber, dataset.AcquisitionNumber = 1, 1


def _describe(dataset: Dataset, header: SeriesHeader) -> None:
    scan, protocol = header.scan, header.protocol
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientPosition = "CT", "CHEST", "HFS"
    dataset.Manufacturer, dataset.ManufacturerModelName = SYNTHETIC_MANUFACTURER, protocol.model
    dataset.SoftwareVersions = header.version
    dataset.SeriesDescription = dataset.ImageComments = dataset.DerivationDescription = MARK
    dataset.ContentQualification, dataset.BurnedInAnnotation = "RESEARCH", "NO"
    dataset.SliceThickness = format_number_as_ds(scan.slice_thickness_mm)
    dataset.KVP, dataset.Exposure = str(protocol.kvp), protocol.mas
    dataset.ExposureTime, dataset.XRayTubeCurrent = 500, 2 * protocol.mas
    dataset.ConvolutionKernel = protocol.kernel.name
    dataset.ReconstructionDiameter = format_number_as_ds(header.matrix * scan.pixel_spacing_mm)
    if scan.contrast_used:
        dataset.ContrastBolusAgent = "IV"


def _set_pixel_module(dataset: Dataset, header: SeriesHeader) -> None:
    spacing_mm = format_number_as_ds(header.scan.pixel_spacing_mm)
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing = [spacing_mm, spacing_mm]
    dataset.Rows = dataset.Columns = header.matrix
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    if header.padded:
        dataset.add_new("PixelPaddingValue", "SS", PADDING)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(RESCALE_INTERCEPT_HU), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-600", "1600"
