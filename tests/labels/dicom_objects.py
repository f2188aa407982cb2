"""Segmentations and reports on tiny CT series, written with highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import seg, sr
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

MALIGNANCY = Code("RID36042", "RadLex", "Malignancy")
LIDC_RATINGS = {n: Code(f"90{n}", "99LIDCQIICR", f"{n} out of 5") for n in range(1, 6)}


def images_in(folder: Path) -> list[Dataset]:
    """Read a series, top first, with the attributes that highdicom asks for."""
    images = [dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    for image in images:
        image.PatientName, image.PatientBirthDate, image.PatientSex = "Lovelace^Ada", "", ""
        image.StudyID, image.StudyDate, image.StudyTime, image.AccessionNumber = "", "", "", ""
    return images


def write_segmentation(file: Path, images: Sequence[Dataset], *masks: NDArray[np.bool_], **changes) -> seg.Segmentation:
    """Write one segment for each (slices, rows, columns) mask."""
    descriptions = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=f"nodule {number}",
            segmented_property_category=changes.get("category", codes.SCT.MorphologicallyAbnormalStructure),
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type=seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, len(masks) + 1)
    ]
    written = seg.Segmentation(
        source_images=list(images),
        pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
        segmentation_type=changes.get("kind", seg.SegmentationTypeValues.BINARY),
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=changes.get("omit_empty_frames", True),
    )
    written.save_as(file)
    written._db_con.close()  # highdicom indexes the frames in it; Python 3.13 warns of an open one
    return written


def rated(value: object) -> dict[str, object]:
    """Return a malignancy as a measurement, where it is a number, else as a coded evaluation."""
    if isinstance(value, int | float):
        unit = Code("1", "UCUM", "no units")
        return {"measurements": [sr.Measurement(name=MALIGNANCY, value=value, unit=unit)]}
    return {"qualitative_evaluations": [sr.QualitativeEvaluation(name=MALIGNANCY, value=value)]} if value else {}


def tracking(uid: str | None = None) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=uid or hd.UID(), identifier="nodule")


def segment_group(segmentation, number, images, rating, uid=None):
    """A group of TID 1411 on a segment."""
    segment = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_images=[sr.SourceImageForSegmentation.from_source_image(image) for image in images],
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(uid), referenced_segment=segment, finding_type=codes.SCT.Nodule, **rated(rating)
    )


def region_group(image, points, rating):
    """A group of TID 1410 on a polygon of (column, row) in an image."""
    region = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([*points, points[0]], dtype=float),
        source_image=sr.SourceImageForRegion.from_source_image(image),
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(), referenced_region=region, finding_type=codes.SCT.Nodule, **rated(rating)
    )


def spatial_group(image, points_mm, rating):
    """A group of TID 1410 on a polygon in space."""
    region = sr.ImageRegion3D(
        graphic_type=sr.GraphicTypeValues3D.POLYGON,
        graphic_data=np.array([*points_mm, points_mm[0]], dtype=float),
        frame_of_reference_uid=image.FrameOfReferenceUID,
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(), referenced_region=region, finding_type=codes.SCT.Nodule, **rated(rating)
    )


def image_group(images, rating, uid=None):
    """A group of TID 1501 on whole images."""
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(uid),
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(image) for image in images],
        finding_type=codes.SCT.Nodule,
        **rated(rating),
    )


def write_report(file: Path, evidence: Sequence[Dataset], groups: Sequence[object]) -> sr.Comprehensive3DSR:
    """Write a report of TID 1500."""
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name="Hopper^Grace"),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    written = sr.Comprehensive3DSR(
        evidence=list(evidence),
        content=content,
        series_instance_uid=hd.UID(),
        series_number=3,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Test",
        is_complete=True,
        is_final=False,
    )
    written.save_as(file)
    return written
