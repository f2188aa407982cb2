"""Candidates beside the tiny volumes of LIDC's first patients: made-up patches where the readers saw nodules."""

import numpy as np

from lidcflow.config import Config, PreprocessConfig, SplitConfig
from lidcflow.labels.collect import collect_nodules
from lidcflow.labels.lidc_readings import images_of_scan
from lidcflow.labels.slices import nodules_of_volume, slab_labels
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from lidcflow.nodules.table import CANDIDATE, SCHEMA
from lidcflow.nodules.truth import consensus
from lidcflow.store.arrays import CandidateArrays
from lidcflow.store.volumes import VolumeStore
from tests.labelled_volumes import SIZE, SLICES, annotated_series, scans_with_nodules, volume_of

PIXEL_MM = (0.7, 0.7)
OTHERS, EACH = 12, 3
"""Candidates of a series in other tissue, and in each nodule."""


def made_up_candidates(scan, volume, rng, *, each=EACH):
    """Return candidates in a scan's nodules and in a corner of the image; those in nodules have a bright middle."""
    nodules = nodules_of_volume(scan.series_instance_uid, volume.edges_mm)
    agreed = [consensus(nodule, images_of_scan(scan), PIXEL_MM) for nodule in nodules]
    centres = [one.centre_mm for one in agreed if one is not None and one.counts] * each
    places = [(z_mm, down / PIXEL_MM[0], across / PIXEL_MM[1]) for z_mm, down, across in centres]
    places += [(float(scan.slice_z_mm[i]), 2.0, 2.0) for i in range(OTHERS)]
    table = np.zeros(len(places), CANDIDATE)
    for name, values in zip(("z_mm", "row", "column"), np.array(places).T, strict=True):
        table[name] = values
    table["diameter_mm"], table["slice"], table["score"] = 6, 1, rng.uniform(0.1, 1, len(places))
    diameters_mm = [one.diameter_mm for one in agreed if one is not None and one.counts] * each
    known = attributes(scan, len(places)) | {
        "cube_candidates": list(range(len(centres))),
        "cube_voxel_mm": [CUBE_MM[0]] * len(centres),
    }
    return CandidateArrays(known, numbers(table), patches(len(centres), len(places), rng), cubes(diameters_mm, rng))


def numbers(table):
    return np.stack([table[name].astype(np.float32) for name in CANDIDATE.names], axis=1)


def attributes(scan, n):
    uid = f"{scan.series_instance_uid}.1"
    return {"schema": SCHEMA, "flags": [], "columns": list(CANDIDATE.names), "sop_instance_uids": [uid] * n}


def patches(nodules, n, rng):
    """Return noise like lung, the first ones with a nodule in the middle."""
    hu = rng.integers(-900, -800, (n, len(PATCH_PIXEL_MM), len(PLANES), PATCH_PIXELS, PATCH_PIXELS), dtype=np.int16)
    hu[:nodules, 0, :, 18:30, 18:30] = 40
    hu[:nodules, 1, :, 21:27, 21:27] = 40
    return hu


def cubes(diameters_mm, rng):
    """Return noise like lung with a bright ball in the middle of each."""
    hu = rng.integers(-900, -800, (len(diameters_mm), *[CUBE_VOXELS] * 3), dtype=np.int16)
    offsets_mm = (np.arange(CUBE_VOXELS) - (CUBE_VOXELS - 1) / 2) * CUBE_MM[0]
    away_mm = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[offsets_mm] * 3, indexing="ij", sparse=True)))
    for cube, diameter_mm in zip(hu, diameters_mm, strict=True):
        cube[away_mm <= diameter_mm / 2] = 40
    return hu


def store_volumes_with_candidates(config, scans=None, *, each=EACH):
    """Store volumes of scans, by default of as many as a training needs, with candidates, so many in each nodule."""
    store, rng = VolumeStore.of(config, create=True), np.random.default_rng(0)
    for scan in scans or scans_with_nodules():
        volume = volume_of(scan, rng)
        store.write(annotated_series(scan), volume, made_up_candidates(scan, volume, rng, each=each))
    return store


def labelled_candidates(workspace):
    """Store volumes with candidates; return their snapshot, the store and the nodules in it."""
    config = Config(
        workspace=workspace,
        patient_key="public",
        preprocess=PreprocessConfig(slices=SLICES, size=SIZE),
        split=SplitConfig(validation=0.3, test=0.2),
    )
    store = store_volumes_with_candidates(config)
    volumes = list(store.summaries(store.series_uids()))
    nodules = collect_nodules(volumes, ("lidc",)).nodules
    labels = {
        one.series_instance_uid: slab_labels(
            one.edges_mm, nodules[one.series_instance_uid], one.slice_spacing_mm / 2, config.labels
        )
        for one in volumes
    }
    return build_snapshot(volumes, labels, config.split), store, nodules
