"""The segmentation: the masks of findings on the source images, a segment a finding, as a DICOM SEG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from lidcflow.documents.key_objects import evidence_of
from lidcflow.documents.making import PRODUCT, completed, making_of, release_words
from lidcflow.documents.source_header import Source
from lidcflow.documents.source_planes import SourcePlanes, images_of, planes_in
from lidcflow.documents.tracking import finding_identifier, finding_uid
from lidcflow.documents.uids import dimension_uid
from lidcflow.nodules.finding import Finding
from lidcflow.report.recommendation import Recommendation, SourceImage, VolumeFacts


def segmentation(said: Recommendation, source: Source, created: datetime) -> Dataset | None:
    """Make the segmentation of a recommendation; parameters as for `key_objects`.

    Returns
    -------
    Dataset, or None
        None where no finding has an outline, and for multi-frame images, whose planes no single header says.

    References
    ----------
    DICOM PS3.3 A.51 and C.8.20, Segmentation IOD and modules.
    """
    planes = planes_in(source, said)
    if said.volume is None or planes is None or any(found.frame_number for found in said.findings):
        return None
    outlined = _outlined(said, said.volume)
    if not outlined:
        return None
    images, masks = _covered(outlined, images_of(said), said.volume)
    document = Segmentation(
        source_images=_evidence(images, source, planes, said.volume),
        pixel_array=masks,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(number, found, said) for number, found in enumerate(outlined, start=1)],
        content_label="FINDINGS",
        content_description=said.statement,
        device_serial_number=PRODUCT,
        omit_empty_frames=True,
        **making_of(said, source, "segmentation"),
    )
    document._db_con.close()  # highdicom has no way to close it, and Python 3.13 warns of an open one
    _name_dimensions(document, dimension_uid(said))
    return completed(document, source, created)


def _name_dimensions(document: Dataset, uid: str) -> None:
    """Put a UID that a repeat does not change in place of highdicom's random one."""
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _outlined(said: Recommendation, volume: VolumeFacts) -> list[Finding]:
    """Return the findings whose masks cover a pixel at least."""
    images = images_of(said)
    return [found for found in said.findings if any(_on_image(found, image, volume) is not None for image in images)]


def _covered(
    outlined: Sequence[Finding], images: Sequence[SourceImage], volume: VolumeFacts
) -> tuple[list[SourceImage], NDArray[np.uint8]]:
    """Return the images that a mask covers, and the masks on them, (images, rows, columns, segments)."""
    masks = [[_on_image(found, image, volume) for found in outlined] for image in images]
    covered = [k for k, of_image in enumerate(masks) if any(one is not None for one in of_image)]
    stacked = np.zeros((len(covered), volume.rows, volume.columns, len(outlined)), np.uint8)
    for at, k in enumerate(covered):
        for segment, one in enumerate(masks[k]):
            if one is not None:
                stacked[at, :, :, segment] = one
    return [images[k] for k in covered], stacked


def _on_image(found: Finding, image: SourceImage, volume: VolumeFacts) -> NDArray[np.bool_] | None:
    """Return a mask on an image; its middle image shows it even where it is thinner than the slices are apart."""
    if found.mask is None:
        return None
    first_mm, last_mm = found.mask.down_mm
    down_mm = found.z_mm - image.z_mm
    if image.sop_instance_uid == found.sop_instance_uid:
        down_mm = min(max(down_mm, first_mm), last_mm)
    if not first_mm <= down_mm + found.mask.voxel_mm / 2 <= last_mm + found.mask.voxel_mm:
        return None
    rows_mm = np.array([(row - found.row) * volume.row_spacing_mm for row in range(volume.rows)])
    columns_mm = np.array([(column - found.column) * volume.column_spacing_mm for column in range(volume.columns)])
    plane = found.mask.plane(down_mm, rows_mm, columns_mm)
    return plane if plane.any() else None


def _evidence(
    images: Sequence[SourceImage], source: Source, planes: SourcePlanes, volume: VolumeFacts
) -> list[Dataset]:
    """Describe the images with their planes, as highdicom wants them."""
    evidence = evidence_of([image.sop_instance_uid for image in images], source)
    for one, image in zip(evidence, images, strict=True):
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.Rows, one.Columns = volume.rows, volume.columns
        one.PixelSpacing = [volume.row_spacing_mm, volume.column_spacing_mm]
        one.SliceThickness = volume.slice_spacing_mm
        one.FrameOfReferenceUID = planes.frame_of_reference_uid
        one.ImageOrientationPatient = planes.orientation.tolist()
        one.ImagePositionPatient = planes.position_mm(image.z_mm)
    return evidence


def _segment(number: int, found: Finding, said: Recommendation) -> Any:
    return SegmentDescription(
        segment_number=number,
        segment_label=finding_identifier(found),
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=PRODUCT,
            family=codes.DCM.ArtificialIntelligence,
            version=f"{said.generated_by.version}, {release_words(said)}",
        ),
        tracking_uid=finding_uid(said, found),
        tracking_id=finding_identifier(found),
        anatomic_regions=[codes.SCT.Lung],
    )
