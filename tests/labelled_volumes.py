"""Tiny volumes of LIDC's first patients, which a training learns from in seconds."""

from dataclasses import replace
from itertools import islice

import numpy as np

from lidcflow.config import LabelConfig
from lidcflow.dicom.records import Acquisition, PixelFormat, Series, SourceSlice
from lidcflow.labels.lidc import lidc_scans, nodules_of
from lidcflow.labels.slices import nodules_of_volume, slab_labels
from lidcflow.nodules.table import CANDIDATE, CHANNELS, SCHEMA
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.store.arrays import CandidateArrays
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.slabs import SlabSource, Volume

SLICES, SIZE, PATIENTS = 8, 32, 16


def annotated_series(scan):
    """The series of a LIDC scan as its rows tell it."""
    pixels = PixelFormat(rows=512, columns=512, bits_stored=16, signed=True)
    slices = tuple(
        SourceSlice("", f"{scan.series_instance_uid}.{number}", number, float(z_mm), 1.0, -1024.0, 0, 0, pixels)
        for number, z_mm in enumerate(scan.slice_z_mm, start=1)
    )
    return Series(
        series_instance_uid=scan.series_instance_uid,
        study_instance_uid=scan.study_instance_uid,
        frame_of_reference_uid=None,
        patient_key=hash_patient_id(scan.patient_id, PUBLIC_KEY),
        slices=slices,
        rows=512,
        columns=512,
        row_spacing_mm=0.7,
        column_spacing_mm=0.7,
        slice_spacing_mm=scan.slice_spacing_mm,
        acquisition=Acquisition(),
        synthetic=True,
        fingerprint="0" * 64,
    )


def volume_of(scan, rng):
    """Noise like lung, with a bright square in each slice that holds a nodule."""
    h_mm = scan.slice_spacing_mm / 2
    edges_mm = np.linspace(scan.slice_z_mm[0] + h_mm, scan.slice_z_mm[-1] - h_mm, SLICES + 1)
    labels = slab_labels(edges_mm, nodules_of_volume(scan.series_instance_uid, edges_mm), h_mm, LabelConfig())
    hu = rng.integers(-900, -700, (2, SLICES, SIZE, SIZE), dtype=np.int16)
    hu[:, labels > 0, 10:16, 10:16] = 50
    middle = [int(np.abs(scan.slice_z_mm - z_mm).argmin()) for z_mm in (edges_mm[:-1] + edges_mm[1:]) / 2]
    sources = tuple(
        (SlabSource(f"{scan.series_instance_uid}.{i + 1}", i + 1, float(scan.slice_z_mm[i]), 1.0),) for i in middle
    )
    return Volume(hu, edges_mm, sources)


def blotched(volume):
    """Return a volume whose slices differ as those of a chest do: bf16 keeps 8 bits, too few to tell noise apart."""
    levels = np.random.default_rng(0).uniform(0, 1, (2, SLICES, SIZE // 8, SIZE // 8))
    contrast = np.linspace(300, 1400, SLICES)[:, None, None]
    hu = (contrast * levels.repeat(8, axis=2).repeat(8, axis=3) - 1000).astype(np.int16)
    return replace(volume, hu=hu)


def scans_with_nodules(n=PATIENTS):
    """Return the first scans of LIDC that have nodules; to group the readings of all 1,018 takes 8 s."""
    return list(islice((scan for scan in lidc_scans() if nodules_of(scan)), n))


def store_volumes(config, scans=None, *, candidates=False):
    """Store volumes of scans, by default of as many as a training needs; the same scans, the same voxels."""
    store, rng = VolumeStore.of(config, create=True), np.random.default_rng(0)
    for scan in scans or scans_with_nodules():
        store.write(annotated_series(scan), volume_of(scan, rng), candidates_in(scan) if candidates else None)
    return store


def candidates_in(scan):
    """A candidate in each nodule of a scan, a bright ball in air, and one in lung like noise at either end."""
    readings = [nodule.readings[0] for nodule in nodules_of(scan)]
    places = [
        (np.mean([contour.z_mm for contour in one.contours]), *one.contours[0].points.mean(axis=0), 8.0, 0.9)
        for one in readings
    ]
    places += [(scan.slice_z_mm[k], 20.0, 20.0, 5.0, 0.01) for k in (2, -3)]
    table = np.zeros(len(places), CANDIDATE)
    for name, values in zip(("z_mm", "row", "column", "diameter_mm", "score"), zip(*places, strict=True), strict=True):
        table[name] = values
    attributes = {
        "schema": SCHEMA,
        "columns": list(CANDIDATE.names),
        "channels": list(CHANNELS),
        "sop_instance_uids": [f"{scan.series_instance_uid}.1"] * len(table),
        "flags": [],
    }
    numbers = np.stack([table[name].astype(np.float32) for name in CANDIDATE.names], axis=1)
    patches = np.where((table["score"] > 0.5)[:, None, None, None, None], _ball(), _lung())
    return CandidateArrays(attributes, numbers, np.broadcast_to(patches, (len(table), 2, 3, 48, 48)).astype(np.int16))


def _ball():
    down, across = np.indices((48, 48)) - 23.5
    return np.where(down**2 + across**2 < 36, 60, -850)


def _lung():
    return np.random.default_rng(0).normal(-850, 30, (48, 48)).astype(np.int64)
