"""Candidates as they are stored beside their volume, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.records import Series
from lidcflow.nodules.candidates import NO_LUNGS, Candidates, candidates_of, none_for
from lidcflow.nodules.cubes import NO_CUBES, Cubes, cut_cubes
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.grid import Scan
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from lidcflow.nodules.patches import cut_patches
from lidcflow.nodules.table import CANDIDATE, CHANNELS, READABLE, SCHEMA
from lidcflow.store.arrays import CandidateArrays
from lidcflow.store.volumes import VolumeStore

FAILED = "candidates-failed"
TOO_FEW_SLICES = "too-few-slices"

NOT_SEARCHED = frozenset({NO_LUNGS, TOO_FEW_SLICES, FAILED})
"""Flags of series that could not be searched; for them, having no candidates means nothing."""


@dataclass(frozen=True, eq=False)
class StoredCandidates:
    """The candidates of a stored series, best first.

    Parameters
    ----------
    table : (n,) array of CANDIDATE
        A row for each.
    patches : (n, 2, 3, 48, 48) array of int16
        HU around each, see `lidcflow.nodules.patches.cut_patches`.
    sop_instance_uids : tuple of str
        The source image that each is nearest to.
    flags : tuple of str
        ``no-lungs``, ``incomplete-lungs``, ``candidates-cut``, ``candidates-failed``, ``too-few-slices``.
    cubes : Cubes, optional
        Around those that the embedded detector rates highest; None in schema 1, and where they were not asked for.
    scored : mapping, optional
        ``probability`` of each by the detector of the digest ``sha256``, which chose whose cubes are stored.
    """

    table: NDArray[np.void]
    patches: NDArray[np.int16]
    sop_instance_uids: tuple[str, ...]
    flags: tuple[str, ...]
    cubes: Cubes | None = None
    scored: Mapping[str, Any] | None = None

    @property
    def searched(self) -> bool:
        """Whether the series was searched for candidates."""
        return NOT_SEARCHED.isdisjoint(self.flags)


def found_in(gathered: ScanGatherer, series: Series, edges_mm: NDArray[np.float64]) -> CandidateArrays:
    """Find the candidates of a series whose slices were gathered.

    What no scan should do, it may: arithmetic that fails leaves a flag, and the series goes on without candidates.

    Parameters
    ----------
    gathered : ScanGatherer
        With the slices.
    series : Series
        The source.
    edges_mm : (slices + 1,) array of float64
        z of the slab edges of its volume, descending.

    Raises
    ------
    WeightsError
        If the files of the detector that chooses whose cubes are stored are missing or damaged.
    """
    scan = gathered.scan()
    if scan is None:
        return _arrays(_none(TOO_FEW_SLICES), series, edges_mm)
    try:
        return _arrays(_cut(scan), series, edges_mm)
    except (ValueError, IndexError, ArithmeticError, np.linalg.LinAlgError):
        return _arrays(_none(FAILED), series, edges_mm)


class _Cut(NamedTuple):
    """Candidates, and what is cut around them."""

    found: Candidates
    patches: NDArray[np.int16]
    cubes: Cubes
    detector: Mapping[str, Any] | None = None


def _cut(scan: Scan) -> _Cut:
    found = candidates_of(scan)
    patches = cut_patches(scan, found.places)
    detector = embedded_detector()
    probability = detector.probabilities(patches, found.table["score"]) if len(patches) else np.empty(0)
    cubes = cut_cubes(scan, found.places, found.table["diameter_mm"], probability)
    return _Cut(found, patches, cubes, {"sha256": detector.sha256, "probability": probability.tolist()})


def _none(flag: str) -> _Cut:
    return _Cut(none_for(flag), cut_none(), NO_CUBES)


def cut_none() -> NDArray[np.int16]:
    """Return the patches of no candidates."""
    return np.empty((0, len(PATCH_PIXEL_MM), len(PLANES), PATCH_PIXELS, PATCH_PIXELS), np.int16)


def _arrays(cut: _Cut, series: Series, edges_mm: NDArray[np.float64]) -> CandidateArrays:
    table = cut.found.table
    table["slice"] = slab_numbers(table["z_mm"].astype(np.float64), edges_mm)
    attributes = {
        "schema": SCHEMA,
        "flags": list(cut.found.flags),
        "columns": list(CANDIDATE.names or ()),
        "channels": list(CHANNELS),
        "planes": list(PLANES),
        "patch_pixel_mm": list(PATCH_PIXEL_MM),
        "sop_instance_uids": [series.slices[source].sop_instance_uid for source in table["source"].tolist()],
        "cube_candidates": cut.cubes.candidates.tolist(),
        "cube_voxel_mm": cut.cubes.voxel_mm.tolist(),
        **({"detector": cut.detector} if cut.detector else {}),
    }
    return CandidateArrays(attributes, _as_numbers(table), cut.patches, cut.cubes.hu)


def slab_numbers(z_mm: NDArray[np.float64], edges_mm: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the slices that heights are in, from 1 at the top; 0 for those outside of the volume.

    Examples
    --------
    >>> slab_numbers(np.array([9.0, 5.0, 0.0, 11.0]), np.array([10.0, 6.0, 2.0]))
    array([1, 2, 0, 0])
    """
    number = np.searchsorted(-edges_mm, -z_mm, side="right")
    return np.where(number < len(edges_mm), number, 0)


def _as_numbers(table: NDArray[np.void]) -> NDArray[np.float32]:
    return np.stack([table[name].astype(np.float32) for name in CANDIDATE.names or ()], axis=1)


def read_candidates(store: VolumeStore, series_instance_uid: str, *, cubes: bool = False) -> StoredCandidates | None:
    """Read the candidates of a stored series.

    Parameters
    ----------
    store : VolumeStore
        The store.
    series_instance_uid : str
        A committed series.
    cubes : bool
        Whether to read their cubes too, which few need.

    Returns
    -------
    StoredCandidates, or None
        None when there are none, damaged ones, or those of another schema.
    """
    stored = store.read_candidates(series_instance_uid, cubes=cubes)
    if stored is None or stored.attributes.get("schema") not in READABLE:
        return None
    facts: dict[str, Any] = dict(stored.attributes)
    table = _as_rows(stored.table, facts["columns"])
    return StoredCandidates(
        table,
        stored.patches,
        tuple(facts["sop_instance_uids"]),
        tuple(facts["flags"]),
        _cubes(stored),
        facts.get("detector"),
    )


class CandidateTable(NamedTuple):
    """The candidates of a stored series without the images around them.

    Parameters
    ----------
    table : (n,) array of CANDIDATE
        A row for each, best first.
    cube_candidates : (m,) array of int, optional
        The rows that have a cube; None in schema 1.
    cube_voxel_mm : (m,) array of float64, optional
        Edge of the voxels of each cube.
    """

    table: NDArray[np.void]
    cube_candidates: NDArray[np.intp] | None
    cube_voxel_mm: NDArray[np.float64] | None


def read_candidate_table(store: VolumeStore, series_instance_uid: str) -> CandidateTable | None:
    """Read the candidates of a stored series without patches and cubes, which take ten times as long.

    None when there are none, damaged ones, or those of another schema.
    """
    stored = store.read_candidates(series_instance_uid, cubes=False, patches=False)
    if stored is None or stored.attributes.get("schema") not in READABLE:
        return None
    facts: dict[str, Any] = dict(stored.attributes)
    table = _as_rows(stored.table, facts["columns"])
    if "cube_candidates" not in facts:
        return CandidateTable(table, None, None)
    numbers, voxel_mm = facts["cube_candidates"], facts["cube_voxel_mm"]
    return CandidateTable(table, np.array(numbers, np.intp), np.array(voxel_mm, np.float64))


def _cubes(stored: CandidateArrays) -> Cubes | None:
    if stored.cubes is None:
        return None
    numbers, voxel_mm = (stored.attributes[name] for name in ("cube_candidates", "cube_voxel_mm"))
    return Cubes(stored.cubes, np.array(numbers, np.intp), np.array(voxel_mm, np.float64))


def _as_rows(numbers: NDArray[np.float32], columns: Sequence[str]) -> NDArray[np.void]:
    table = np.zeros(len(numbers), CANDIDATE)
    for name, values in zip(columns, numbers.T, strict=True):
        table[name] = values
    return table
