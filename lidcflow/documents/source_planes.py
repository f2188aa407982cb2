"""Geometry of a series' source images by their headers, for what is drawn on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.values import is_uid, text_of
from lidcflow.documents.source_header import Source
from lidcflow.report.recommendation import Recommendation, SourceImage

FAR_MM = 1.0
"""Images nearer than this along z do not show how the planes of a tilted gantry are shifted."""


@dataclass(frozen=True)
class SourcePlanes:
    """The planes of a series' images.

    Parameters
    ----------
    frame_of_reference_uid : str
        What the coordinates are in.
    orientation : (6,) array of float64
        Image Orientation (Patient).
    origin_mm, way : (3,) array of float64
        Image Position (Patient) of the plane at `z_mm`, and how it moves for each mm towards the head.
    z_mm : float
        Of that plane.
    """

    frame_of_reference_uid: str
    orientation: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    way: NDArray[np.float64]
    z_mm: float

    def position_mm(self, z_mm: float) -> list[float]:
        """Return Image Position (Patient) of the image at a position along the normal."""
        return [round(float(at), 6) for at in self.origin_mm + (z_mm - self.z_mm) * self.way]


def images_of(said: Recommendation) -> list[SourceImage]:
    """Return the source images that were read, top of the chest first, each once."""
    images = {(one.sop_instance_uid, one.frame_number): one for found in said.slices for one in found.source_images}
    return sorted(images.values(), key=lambda one: -one.z_mm)


def planes_in(source: Source, said: Recommendation) -> SourcePlanes | None:
    """Read where the images lie from the header of one of them; None where it does not say so, as of multi-frame CT."""
    header = source.header
    with quiet():
        uid = text_of(header.get("FrameOfReferenceUID")) or ""
        origin, orientation = (
            _numbers(header, "ImagePositionPatient", 3),
            _numbers(header, "ImageOrientationPatient", 6),
        )
    if not is_uid(uid) or origin is None or orientation is None:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    normal = normal if normal[2] >= 0 else -normal
    z_mm = next((one.z_mm for one in images_of(said) if one.sop_instance_uid == source.sop_instance_uid), None)
    return _tilted(
        SourcePlanes(uid, orientation, origin, normal, float(origin @ normal) if z_mm is None else z_mm), said
    )


def _numbers(header: Dataset, keyword: str, n: int) -> NDArray[np.float64] | None:
    try:
        numbers = np.array([float(one) for one in header.get(keyword) or ()], np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (n,) and np.isfinite(numbers).all() else None


def _tilted(planes: SourcePlanes, said: Recommendation) -> SourcePlanes:
    """Take the way of a tilted gantry from a finding, whose place in the patient and in its image are known."""
    volume = said.volume
    for found in said.findings:
        if volume and found.x_mm is not None and found.y_mm is not None and abs(found.z_mm - planes.z_mm) > FAR_MM:
            down_mm, right_mm = found.row * volume.row_spacing_mm, found.column * volume.column_spacing_mm
            moved = np.array(planes.position_mm(found.z_mm))
            centre = moved + down_mm * planes.orientation[3:] + right_mm * planes.orientation[:3]
            aside = np.array([found.x_mm - centre[0], found.y_mm - centre[1], 0.0]) / (found.z_mm - planes.z_mm)
            way = planes.way + aside if np.abs(aside).max() > 0.001 else planes.way
            return SourcePlanes(planes.frame_of_reference_uid, planes.orientation, planes.origin_mm, way, planes.z_mm)
    return planes
