"""Describe findings: outline, size and malignancy of those with a cube, and which of these are reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.cubes import CUBE_VOXELS, Cubes
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.mask import mask_of
from lidcflow.nodules.outline import Outline, outline_of
from lidcflow.nodules.place import place_of
from lidcflow.nodules.planes import candidate_of
from lidcflow.nodules.stored import StoredCandidates
from lidcflow.nodules.systems import FindingSystems, MalignancyLike
from lidcflow.store.record import VolumeRecord

NO_CUBE = "no cube of it is stored"
NO_SEGMENTER = "there is no segmenter"
NO_OUTLINE = "its mask is empty or fills the cube"
CUT_BY_CUBE = "its mask reaches the edge of the cube"
CUT_BY_SCAN = "its mask reaches the edge of the scan"

MIDDLE = (CUBE_VOXELS - 1) / 2
"""Index of the middle of a cube, which lies between voxels."""

IMAGE = ("slice_number", "sop_instance_uid", "instance_number", "frame_number")


def describe_findings(
    findings: Sequence[Finding], stored: StoredCandidates, record: VolumeRecord, systems: FindingSystems
) -> tuple[Finding, ...]:
    """Return findings with what the segmenter and the malignancy system say of them.

    Parameters
    ----------
    findings : sequence of Finding
        From `select_findings`.
    stored : StoredCandidates
        The candidates that they were, with cubes; without, findings stay as they are.
    record : VolumeRecord
        The volume of their series.
    systems : FindingSystems
        What answers.
    """
    if stored.cubes is None:
        return tuple(findings)
    cubes = {found.rank: _cube_of(found, stored, stored.cubes) for found in findings}
    outlines = _outlines({rank: one for rank, one in cubes.items() if one}, systems)
    return tuple(_described(found, cubes[found.rank], outlines.get(found.rank), record, systems) for found in findings)


Cube = tuple[NDArray[np.int16], float]
"""HU, and the edge of a voxel in mm."""


def _cube_of(found: Finding, stored: StoredCandidates, cubes: Cubes) -> Cube | None:
    candidate = candidate_of(found, stored.table)
    return None if candidate is None else cubes.of(candidate)


def _outlines(cubes: dict[int, Cube], systems: FindingSystems) -> dict[int, Outline | None]:
    """Return the outline in each cube by the rank of its finding."""
    if not cubes or systems.segmenter is None:
        return {}
    voxel_mm = [mm for _, mm in cubes.values()]
    inside = systems.segmenter.probabilities(np.stack([hu for hu, _ in cubes.values()]), voxel_mm)
    return {rank: outline_of(one, mm) for rank, one, mm in zip(cubes, inside, voxel_mm, strict=True)}


def _described(
    found: Finding, cube: Cube | None, outline: Outline | None, record: VolumeRecord, systems: FindingSystems
) -> Finding:
    if cube is None:
        return found.model_copy(update={"circle": NO_CUBE})
    hu, voxel_mm = cube
    why = _why_circle(found, outline, voxel_mm, record, segmented=systems.segmenter is not None)
    trusted = None if why else outline
    told = {"circle": why} if trusted is None else _told(found, trusted, voxel_mm, record)
    malignant = {} if systems.malignancy is None else _malignancy(systems.malignancy, found, hu, voxel_mm, trusted)
    return found.model_copy(update={**told, **malignant})


def _why_circle(
    found: Finding, outline: Outline | None, voxel_mm: float, record: VolumeRecord, *, segmented: bool
) -> str | None:
    if outline is None:
        return NO_OUTLINE if segmented else NO_SEGMENTER
    if outline.long_axis_mm < voxel_mm:
        return NO_OUTLINE
    if outline.cut:
        return CUT_BY_CUBE
    return CUT_BY_SCAN if _reaches_edge(found, outline, voxel_mm, record) else None


def _reaches_edge(found: Finding, outline: Outline, voxel_mm: float, record: VolumeRecord) -> bool:
    """Return whether a mask reaches the first or last slice, row or column of the source."""
    down, rows, columns = (
        (np.flatnonzero(outline.mask.any(axis=axes))[[0, -1]] - MIDDLE + (-0.5, 0.5)) * voxel_mm
        for axes in ((1, 2), (0, 2), (0, 1))
    )
    z_mm = [one.z_mm for one in record.source_slices] or record.edges_mm.tolist()
    in_rows = found.row + rows / record.row_spacing_mm
    in_columns = found.column + columns / record.column_spacing_mm
    above, below = found.z_mm - down[0] >= max(z_mm), found.z_mm - down[1] <= min(z_mm)
    aside = in_rows[0] <= 0 or in_columns[0] <= 0
    return bool(above or below or aside or in_rows[1] >= record.rows - 1 or in_columns[1] >= record.columns - 1)


def _told(found: Finding, outline: Outline, voxel_mm: float, record: VolumeRecord) -> dict[str, Any]:
    """Return the fields of an outline: its sizes, its polygon in the image through it, its mask."""
    pixel_mm = np.array([record.row_spacing_mm, record.column_spacing_mm])
    corners = np.round(np.array([found.row, found.column]) + outline.contour_mm / pixel_mm, 2)
    return {
        **_image_of(found, outline, voxel_mm, record),
        "long_axis_mm": round(outline.long_axis_mm, 1),
        "short_axis_mm": max(round(outline.short_axis_mm, 1), 0.1),
        "volume_mm3": round(outline.volume_mm3, 1),
        "outline": tuple((float(row), float(column)) for row, column in corners),
        "mask": mask_of(outline.mask, voxel_mm),
    }


def _image_of(found: Finding, outline: Outline, voxel_mm: float, record: VolumeRecord) -> dict[str, Any]:
    """Return the slice and the source image of the largest outline, where that image lies within the nodule."""
    z_mm = found.z_mm - (outline.middle - MIDDLE) * voxel_mm
    place = place_of(record, z_mm, found.row, found.column)
    image_z_mm = min((one.z_mm for one in record.source_slices), key=lambda one: abs(one - z_mm), default=z_mm)
    k = round(MIDDLE + (found.z_mm - image_z_mm) / voxel_mm)
    within = 0 <= k < len(outline.mask) and outline.mask[k].any()
    return {name: place[name] for name in IMAGE} if place and within else {}


def _malignancy(
    system: MalignancyLike, found: Finding, hu: NDArray[np.int16], voxel_mm: float, outline: Outline | None
) -> dict[str, Any]:
    answer = system.answer(hu, voxel_mm, outline, found.diameter_mm)
    return {
        "malignant": round(float(answer.probability), 4),
        "malignancy": system.name,
        "outside": tuple(answer.outside),
    }
