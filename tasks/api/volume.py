"""Stored volumes, labels and source images as tables and labelled arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from lidcflow.dicom.orientation import cell_centre
from lidcflow.labels.slices import CLASS_NAMES
from lidcflow.notice import STATEMENT
from lidcflow.store.record import VolumeRecord
from lidcflow.volume.slabs import CHANNELS

DIMS = ("channel", "slice", "row", "column")

AXES_TOLERANCE = 1e-6
"""Tolerance of direction cosines from 0 and 1 for image axes to be those of the patient."""


def volume_array(hu: NDArray[np.int16], record: VolumeRecord) -> xr.DataArray:
    """Label the axes of a volume.

    Parameters
    ----------
    hu : (2, slices, rows, columns) array of int16
        A level of the volume in HU.
    record : VolumeRecord
        The volume.

    Returns
    -------
    xarray.DataArray
        Dimensions `DIMS`. Coordinates: ``channel`` (mean, max); ``slice`` from 1 at the top of the chest, with its
        middle ``z_mm`` and its edges ``z_top_mm`` and ``z_bottom_mm``; ``row_mm`` and ``column_mm``, from the centre of
        the first source pixel; ``y_mm`` and ``x_mm`` in the patient (LPS) where the image axes are the patient's.
    """
    down_mm = record.row_spacing_mm * _centres(hu.shape[2], record.rows)
    across_mm = record.column_spacing_mm * _centres(hu.shape[3], record.columns)
    coords = {**slice_coords(record), "row_mm": ("row", down_mm), "column_mm": ("column", across_mm)}
    if record.axes is not None and has_patient_axes(record):
        coords |= {"y_mm": ("row", record.axes.origin_mm[1] + down_mm)}
        coords |= {"x_mm": ("column", record.axes.origin_mm[0] + across_mm)}
    found = xr.DataArray(hu, coords, DIMS, name="hu", attrs={"units": "HU", **attributes_of(record)})
    for name in coords.keys() - {"slice"}:
        found[name].attrs["units"] = "mm"
    return found.assign_coords(channel=list(CHANNELS))


def _centres(size: int, source_size: int) -> NDArray[np.float64]:
    """Return the centre of each cell along an axis, in pixels of the source."""
    return np.array([cell_centre(i, source_size, size) for i in range(size)])


def has_patient_axes(record: VolumeRecord) -> bool:
    """Return whether rows run exactly to the patient's left, columns to the back, and slices are not sheared."""
    axes = record.axes
    if axes is None:
        return False
    usual = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    return bool(np.allclose([axes.row, axes.column, axes.way], usual, atol=AXES_TOLERANCE))


def slice_coords(record: VolumeRecord) -> dict[str, Any]:
    """Return the coordinates of the slices: their numbers from 1, and their places along z in mm."""
    edges_mm = record.edges_mm
    return {
        "slice": np.arange(1, len(edges_mm)),
        "z_mm": ("slice", (edges_mm[:-1] + edges_mm[1:]) / 2),
        "z_top_mm": ("slice", edges_mm[:-1]),
        "z_bottom_mm": ("slice", edges_mm[1:]),
    }


def attributes_of(record: VolumeRecord) -> dict[str, Any]:
    """Return what names a volume: UIDs, digest, whether it is synthetic, the scanner, and the notice."""
    return {
        "series_instance_uid": record.series_instance_uid,
        "study_instance_uid": record.study_instance_uid,
        "frame_of_reference_uid": record.frame_of_reference_uid,
        "synthetic": record.synthetic,
        "volume_digest": record.volume_digest,
        "flags": record.flags,
        "acquisition": dict(record.acquisition),
        "notice": STATEMENT,
    }


def label_array(labels: NDArray[np.int8], record: VolumeRecord) -> xr.DataArray:
    """Return the label of each slice, with the same coordinates along z as the volume."""
    attrs = {"classes": CLASS_NAMES, "series_instance_uid": record.series_instance_uid}
    return xr.DataArray(labels, slice_coords(record), ("slice",), name="label", attrs=attrs)


def source_table(record: VolumeRecord) -> pd.DataFrame:
    """Return a row for each source image of each slice, with its share of the slice as ``weight``."""
    rows = [
        (number, one.sop_instance_uid, one.instance_number, one.frame_number, one.z_mm, one.weight)
        for number, slab in enumerate(record.sources, start=1)
        for one in slab
    ]
    columns = ["slice", "sop_instance_uid", "instance_number", "frame_number", "z_mm", "weight"]
    return pd.DataFrame(rows, columns=columns).astype({"instance_number": "Int64", "frame_number": "Int64"})
