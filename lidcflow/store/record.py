"""Attributes of a volume's group: the store's facts about the volume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.orientation import PatientAxes, Vector, cell_centre
from lidcflow.dicom.records import Series, SourceSlice
from lidcflow.pixels.noticed import NOTHING, PixelFaults
from lidcflow.volume.slabs import SlabSource, Volume

MOST_STATES = 4
"""States of the source that are kept: a series lies in an archive, in a copy of it and in an inbox."""

NOTICE = "Research use only. Not for diagnosis."


class StoredSlice(NamedTuple):
    """A source slice of a volume."""

    sop_instance_uid: str
    instance_number: int | None
    z_mm: float
    frame_number: int | None = None


@dataclass(frozen=True)
class VolumeRecord:
    """A committed volume.

    Parameters
    ----------
    series_instance_uid, study_instance_uid : str
        UIDs.
    frame_of_reference_uid : str, optional
        Frame of Reference UID.
    patient_key : str
        Keyed hash that stands for the patient.
    synthetic : bool
        Whether the voxels are a phantom's.
    fingerprint : str
        `Series.fingerprint` of the source.
    config_digest : str
        Digest of the preprocessing configuration.
    volume_digest : str
        SHA-256 of voxels and edges.
    edges_mm : (slices + 1,) array of float64
        z of the slab edges, descending.
    sources : tuple, one tuple of SlabSource per slab
        The source slices in it.
    flags : tuple of str
        What was tolerated, in kebab case.
    lung_z_mm : tuple of 2 floats, optional
        Top and bottom of the lungs, where they were looked for and found.
    acquisition : dict
        Scanner and protocol.
    n_source_slices, rows, columns : int
        Size of the source.
    slice_spacing_mm, row_spacing_mm, column_spacing_mm : float
        Spacing of the source.
    attribution : dict, optional
        Collection, licence and DOI of a series of the public archive.
    source_slices : tuple of StoredSlice
        Every source slice, top first, in a slab or not.
    axes : PatientAxes, optional
        Where in the patient the pixels of the source are; None for volumes of versions that did not keep it.
    source_states : tuple of str
        Each `Series.state` whose pixels are known to be those of the volume, the last one last; none in volumes of
        older versions and of sources that tell no versions.
    noticed : PixelFaults
        What the pixels show to be wrong; nothing in volumes of older versions, which did not look.
    candidates : int
        Schema version of the nodule candidates beside the volume; 0 where there are none.
    """

    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str | None
    patient_key: str
    synthetic: bool
    fingerprint: str
    config_digest: str
    volume_digest: str
    edges_mm: NDArray[np.float64]
    sources: tuple[tuple[SlabSource, ...], ...]
    flags: tuple[str, ...]
    lung_z_mm: tuple[float, float] | None
    acquisition: dict[str, Any]
    n_source_slices: int
    rows: int
    columns: int
    slice_spacing_mm: float
    row_spacing_mm: float
    column_spacing_mm: float
    attribution: dict[str, Any] | None = None
    source_slices: tuple[StoredSlice, ...] = ()
    axes: PatientAxes | None = None
    source_states: tuple[str, ...] = ()
    noticed: PixelFaults = NOTHING
    candidates: int = 0

    def voxel_point_mm(self, slice_index: int, row: float, column: float, size: int) -> Vector:
        """Return where in the patient the centre of a voxel is (LPS: x to the left, y to the back, z to the head).

        Parameters
        ----------
        slice_index : int
            From 0 at the top.
        row, column : float
            From 0; fractions lie between voxels.
        size : int
            Rows and columns of the level that they count.

        Raises
        ------
        ValueError
            If the volume was made by a version that did not keep where its pixels are.
        """
        if self.axes is None:
            raise ValueError("a volume must keep where its pixels are, got one of an older version; preprocess it anew")
        z_mm = float(self.edges_mm[slice_index] + self.edges_mm[slice_index + 1]) / 2
        down_mm = self.row_spacing_mm * cell_centre(row, self.rows, size)
        across_mm = self.column_spacing_mm * cell_centre(column, self.columns, size)
        return self.axes.point_mm(z_mm, down_mm, across_mm)

    def pixel_point_mm(self, z_mm: float, row: float, column: float) -> Vector:
        """Return where in the patient the centre of a source pixel is, as `voxel_point_mm` does.

        Parameters
        ----------
        z_mm : float
            Of its source slice.
        row, column : float
            From 0.
        """
        if self.axes is None:
            raise ValueError("a volume must keep where its pixels are, got one of an older version; preprocess it anew")
        return self.axes.point_mm(z_mm, row * self.row_spacing_mm, column * self.column_spacing_mm)

    def is_blank(self, source: SlabSource) -> bool:
        """Return whether a source slice holds one constant value."""
        if not self.noticed.blank_slices:
            return False
        named = {
            (self.source_slices[i].sop_instance_uid, self.source_slices[i].frame_number)
            for i in self.noticed.blank_slices
        }
        return (source.sop_instance_uid, source.frame_number) in named


def hash_volume(volume: Volume) -> str:
    """Hash voxels and edges of a volume."""
    return voxel_digest(volume.hu, volume.edges_mm)


def voxel_digest(hu: NDArray[np.int16], edges_mm: NDArray[np.float64]) -> str:
    """Hash voxels and edges.

    Parameters
    ----------
    hu : (2, slices, size, size) array of int16
        HU.
    edges_mm : (slices + 1,) array of float64
        z of the slab edges.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256(np.ascontiguousarray(hu, "<i2").data)
    digest.update(np.ascontiguousarray(edges_mm, "<f8").data)
    return digest.hexdigest()


def attributes_of(
    series: Series,
    volume: Volume,
    config: PreprocessConfig,
    known_states: Sequence[str] = (),
    *,
    candidates: int = 0,
) -> dict[str, Any]:
    """Describe a volume as JSON: its patient, its source, and how it was made.

    Parameters
    ----------
    series : Series
        The source.
    volume : Volume
        Its reduction.
    config : PreprocessConfig
        What it was made with.
    known_states : sequence of str
        Other states of the source whose pixels gave the same volume.
    candidates : int
        Schema version of the candidates beside the volume; 0 where there are none.
    """
    states = states_with(series.state, known_states)
    return {
        "lidcflow": {
            "notice": NOTICE,
            "version": version("lidcflow"),
            "series_instance_uid": series.series_instance_uid,
            "study_instance_uid": series.study_instance_uid,
            "frame_of_reference_uid": series.frame_of_reference_uid,
            "patient_key": series.patient_key,
            "synthetic": series.synthetic,
            "fingerprint": series.fingerprint,
            "config": config.model_dump(mode="json"),
            "config_digest": config.digest,
            "volume_digest": hash_volume(volume),
            "edges_mm": volume.edges_mm.tolist(),
            "flags": list(volume.flags),
            "lung_z_mm": volume.lung_z_mm,
            **({"noticed": asdict(volume.noticed)} if volume.noticed.flags else {}),
            "acquisition": asdict(series.acquisition),
            **({"attribution": asdict(series.attribution)} if series.attribution else {}),
            **({"source_states": states} if states else {}),
            **({"candidates": candidates} if candidates else {}),
            "rows": series.rows,
            "columns": series.columns,
            **({"axes": asdict(series.axes)} if series.axes else {}),
            "slice_spacing_mm": series.slice_spacing_mm,
            "row_spacing_mm": series.row_spacing_mm,
            "column_spacing_mm": series.column_spacing_mm,
            "source_slices": [_source_slice(source) for source in series.slices],
            "slab_sources": _slab_sources(series, volume),
        }
    }


def with_state(description: bytes, state: str) -> bytes:
    """Add the first state of its source to the description of a volume's group, written as Zarr writes it.

    Parameters
    ----------
    description : bytes
        Of a volume that kept no state.
    state : str
        `Series.state`.
    """
    described = json.loads(description)
    facts = described["attributes"]["lidcflow"]
    tail = {name: facts.pop(name) for name in ("source_slices", "slab_sources")}  # the long rest comes last
    described["attributes"]["lidcflow"] = {**facts, "source_states": [state], **tail}
    return json.dumps(described, indent=2).encode()


def without_candidates(description: bytes) -> bytes:
    """Return the description of a volume's group that has no candidates any more, written as Zarr writes it."""
    described = json.loads(description)
    described["attributes"]["lidcflow"].pop("candidates", None)
    return json.dumps(described, indent=2).encode()


def states_with(state: str, known: Sequence[str]) -> list[str]:
    """Add a state of the source to those that are known, and keep the last few.

    Examples
    --------
    >>> states_with("b", ["a", "b", "c"])
    ['a', 'c', 'b']
    """
    return [*(one for one in known if one != state), *([state] if state else [])][-MOST_STATES:]


def _source_slice(source: SourceSlice) -> list[str | int | float | None]:
    """List what names a source slice, and its z; only frames of a multi-frame object have a number more."""
    named: list[str | int | float | None] = [source.sop_instance_uid, source.instance_number, source.z_mm]
    return named if source.frame_number is None else [*named, source.frame_number]


def _slab_sources(series: Series, volume: Volume) -> list[list[tuple[int, float]]]:
    """List for each slab the indices of its source slices, and their weights."""
    index = {(source.sop_instance_uid, source.frame_number): i for i, source in enumerate(series.slices)}
    return [
        [(index[source.sop_instance_uid, source.frame_number], source.weight) for source in slab]
        for slab in volume.sources
    ]


# What is stored has not the shape of the class, so no converter by fields (pydantic, cattrs) takes this over: slabs
# name their sources by index in the list of slices, volumes of older versions lack fields, and arrays are lists.
def record_of(attributes: dict[str, Any]) -> VolumeRecord:
    """Read back what `attributes_of` wrote.

    Raises
    ------
    KeyError
        If an attribute is missing.
    """
    facts = dict(attributes["lidcflow"])
    slices = facts.pop("source_slices")
    slabs = facts.pop("slab_sources")
    lung_z_mm = facts.pop("lung_z_mm")
    axes = facts.pop("axes", None)
    noticed = {name: tuple(found) for name, found in facts.pop("noticed", {}).items()}
    for unused in ("notice", "version", "config"):
        del facts[unused]
    return VolumeRecord(
        edges_mm=np.array(facts.pop("edges_mm")),
        sources=tuple(tuple(_slab_source(*slices[i], weight=weight) for i, weight in slab) for slab in slabs),
        flags=tuple(facts.pop("flags")),
        source_states=tuple(facts.pop("source_states", ())),
        lung_z_mm=None if lung_z_mm is None else (lung_z_mm[0], lung_z_mm[1]),
        n_source_slices=len(slices),
        source_slices=tuple(StoredSlice(*source) for source in slices),
        axes=axes and _axes_of(axes),
        noticed=PixelFaults(**noticed),
        **facts,
    )


def _axes_of(kept: dict[str, Any]) -> PatientAxes:
    vectors = {name: tuple(value) for name, value in kept.items() if name != "z_mm"}
    return PatientAxes(**vectors, z_mm=kept["z_mm"])


def _slab_source(
    sop_instance_uid: str, instance_number: int | None, z_mm: float, frame_number: int | None = None, *, weight: float
) -> SlabSource:
    return SlabSource(sop_instance_uid, instance_number, z_mm, weight, frame_number)
