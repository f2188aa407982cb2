"""The record of a small volume, for tests of what becomes of candidates in it."""

from __future__ import annotations

import numpy as np

from lidcflow.dicom.orientation import PatientAxes
from lidcflow.store.record import StoredSlice, VolumeRecord


def small_record() -> VolumeRecord:
    """Return the record of four slices of 10 mm from 40 to 0 mm, made of eight images."""
    return VolumeRecord(
        series_instance_uid="1.2",
        study_instance_uid="1.1",
        frame_of_reference_uid=None,
        patient_key="ab",
        synthetic=False,
        fingerprint="f",
        config_digest="c",
        volume_digest="d",
        edges_mm=np.array([40.0, 30, 20, 10, 0]),
        sources=((),) * 4,
        flags=(),
        lung_z_mm=None,
        acquisition={},
        n_source_slices=8,
        rows=64,
        columns=64,
        slice_spacing_mm=5.0,
        row_spacing_mm=0.5,
        column_spacing_mm=0.25,
        source_slices=tuple(StoredSlice(f"1.2.{k}", k + 1, 37.5 - 5 * k) for k in range(8)),
        axes=PatientAxes((-100.0, -90.0, 37.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 37.5),
    )
