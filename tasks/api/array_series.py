"""A CT series of DICOM files from an array, so that an array takes the same path as a scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

INTERCEPT_HU = -1024
RANGE_HU = (-1024, 3071)
WHERE = "array of a release"


def write_array_series(hu: NDArray[Any], spacing_mm: Sequence[float], folder: Path) -> str:
    """Write a stack of axial images as DICOM files with random UIDs and no patient.

    Parameters
    ----------
    hu : (slices, rows, columns) array of numbers
        The stack in HU, top of the chest first, rows from front to back, columns from the patient's right to left.
    spacing_mm : three floats
        Distance of slices, rows and columns.
    folder : Path
        An empty folder.

    Returns
    -------
    str
        SeriesInstanceUID.

    Raises
    ------
    ValueError
        If the array or the spacing can't be those of a CT series.
    """
    _check(hu, spacing_mm)
    series_uid, study_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    stored = (np.clip(np.rint(hu), *RANGE_HU) - INTERCEPT_HU).astype("<i2")
    for index, pixels in enumerate(stored):
        image = _image(pixels, spacing_mm)
        image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = series_uid, study_uid, frame_uid
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [0, 0, format_number_as_ds(-index * spacing_mm[0])]
        image.save_as(folder / f"{index + 1:05d}.dcm", enforce_file_format=True)
    return str(series_uid)


def _check(hu: NDArray[Any], spacing_mm: Sequence[float]) -> None:
    if hu.ndim != 3:
        raise ValueError(f"{WHERE}: must be (slices, rows, columns) in HU, got the shape {hu.shape}")
    if not np.isfinite(hu).all():
        raise ValueError(f"{WHERE}: HU must be finite, got some that are not")
    if len(spacing_mm) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise ValueError(
            f"{WHERE}: spacing_mm must be three positive distances of slices, rows and columns, got "
            f'{list(spacing_mm)}; use predict(hu, params={{"spacing_mm": [1.25, 0.7, 0.7]}})'
        )


def _image(pixels: NDArray[np.int16], spacing_mm: Sequence[float]) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.Modality, image.PatientID, image.PatientName = "CT", "array", ""
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.SliceThickness = format_number_as_ds(float(spacing_mm[0]))
    image.PixelSpacing = [format_number_as_ds(float(mm)) for mm in spacing_mm[1:]]
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = INTERCEPT_HU, 1, "HU"
    image.PixelData = pixels.tobytes()
    return image
