"""The arrays of one series: the volume as an OME-Zarr 0.5 multiscale image, and features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from lidcflow.pixels.hounsfield import AIR_HU
from lidcflow.store.place import FACTS, Held
from lidcflow.volume.resample import reduce_plane
from lidcflow.volume.slabs import CHANNELS

INNER_SLICES = 5
"""Slices in an inner chunk: a sector of 5 slices is one read."""

COMPRESSOR = BloscCodec(typesize=2, cname="lz4", clevel=5, shuffle="bitshuffle")

AXES = [
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "millimeter"},
    {"name": "y", "type": "space", "unit": "millimeter"},
    {"name": "x", "type": "space", "unit": "millimeter"},
]
WINDOWS_HU = {"start": -1000, "end": 400, "min": -1024, "max": 3071}


CHECKSUM_BYTES = 4


def encode_image(
    hu: NDArray[np.int16],
    cell_mm: tuple[float, float, float],
    attributes: Mapping[str, Any],
    corner_mm: tuple[float, float] | None = None,
) -> dict[str, bytes]:
    """Turn a volume into the objects of a Zarr v3 group with two levels.

    Parameters
    ----------
    hu : (2, slices, size, size) array of int16
        Channels ``mean`` and ``max``.
    cell_mm : tuple of 3 floats
        Distance of slices, rows and columns.
    attributes : mapping
        Stored beside the ``ome`` metadata.
    corner_mm : tuple of 2 floats, optional
        Where the field of view begins along a column and along a row, in the patient's coordinates; by default the
        centre of the first cell is the origin.

    Returns
    -------
    dict
        Content by key, the same for the same input.

    References
    ----------
    https://ngff.openmicroscopy.org/0.5/
    """
    stored: dict[str, Any] = {}
    levels = [hu, halved(hu)]
    shrink = hu.shape[-1] / levels[1].shape[-1]  # more than 2 for an odd size
    corner_mm = corner_mm or (-cell_mm[1] / 2, -cell_mm[2] / 2)
    ome = _multiscales([cell_mm, (cell_mm[0], shrink * cell_mm[1], shrink * cell_mm[2])], corner_mm)
    group = zarr.create_group(MemoryStore(stored), zarr_format=3, attributes={"ome": ome, **attributes})
    for level, array in enumerate(levels):
        _new_array(group, str(level), array.shape)[:] = array
    group.create_group("features")
    return _contents(stored)


def encode_features(
    features: NDArray[np.float16], volume_digest: str, *, engine_error: float = 0.0
) -> dict[str, bytes]:
    """Turn the features of a volume into the objects of a Zarr v3 array of one chunk, or one shard of maps.

    Parameters
    ----------
    features : (slices, d) or (slices, rows, columns, channels) array of float16
        One row per slice, or its activation maps, which can be read slice by slice.
    volume_digest : str
        Digest of the volume that they were computed from.
    engine_error : float
        What the check of the engine that computed them came to; kept beside them unless it is 0.

    Returns
    -------
    dict
        Content by key.
    """
    stored: dict[str, Any] = {}
    checked = {"engine_error": engine_error} if engine_error else {}
    array = zarr.create_array(
        MemoryStore(stored),
        shape=features.shape,
        dtype=np.float16,
        **_feature_chunks(features.shape),
        compressors=[COMPRESSOR, Crc32cCodec()],  # voxels have their digest; Blosc reads on where a chunk is cut off
        attributes={"volume_digest": volume_digest, **checked},
        zarr_format=3,
        config={"write_empty_chunks": True},
    )
    array[:] = features
    return _contents(stored)


CUBES = "cubes"


class CandidateArrays(NamedTuple):
    """Stored nodule candidates of a series.

    Parameters
    ----------
    attributes : mapping
        As JSON: ``schema``, ``columns`` of the table, and further facts.
    table : (n, columns) array of float32
        A row for each, best first.
    patches : (n, widths, planes, rows, columns) array of int16
        HU around each.
    cubes : (m, slices, rows, columns) array of int16, optional
        HU around some of them, which the attributes name; from schema 2.
    """

    attributes: Mapping[str, Any]
    table: NDArray[np.float32]
    patches: NDArray[np.int16]
    cubes: NDArray[np.int16] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays before compression."""
        return sum(array.nbytes for array in (self.table, self.patches, self.cubes) if array is not None)


def encode_candidates(candidates: CandidateArrays, volume_digest: str) -> dict[str, bytes]:
    """Turn candidates into the objects of a Zarr v3 group with arrays of one chunk each.

    Parameters
    ----------
    candidates : CandidateArrays
        Those of a series; none are fine.
    volume_digest : str
        Digest of the volume beside them.

    Returns
    -------
    dict
        Content by key, the same for the same input.
    """
    stored: dict[str, Any] = {}
    facts = {"volume_digest": volume_digest, **candidates.attributes}
    group = zarr.create_group(MemoryStore(stored), zarr_format=3, attributes={"lidcflow": facts})
    names = ["candidate", "width", "plane", "row", "column"]
    _whole_array(group, "table", candidates.table, ["candidate", "column"])
    _whole_array(group, "patches", candidates.patches, names)
    if candidates.cubes is not None:
        _whole_array(group, CUBES, candidates.cubes, ["cube", "slice", "row", "column"])
    return _contents(stored)


def _whole_array(group: zarr.Group, name: str, array: NDArray[Any], dimension_names: list[str]) -> None:
    made = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=tuple(max(1, n) for n in array.shape),
        compressors=[BloscCodec(typesize=array.itemsize, cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=dimension_names,
        config={"write_empty_chunks": True},
    )
    if array.size:
        made[:] = array


def read_candidates(held: Held, *, cubes: bool = True, patches: bool = True) -> CandidateArrays:
    """Read candidates.

    Parameters
    ----------
    held : Held
        Their group.
    cubes, patches : bool
        Whether to read the cubes too, where there are any, and the patches, which are empty otherwise.

    Raises
    ------
    FileNotFoundError
        If they are not there.
    """
    attributes = json.loads(held.whole(FACTS))["attributes"]["lidcflow"]
    has_cubes = cubes and "cube_candidates" in attributes
    return CandidateArrays(
        attributes,
        _whole(held, "table"),
        _whole(held, "patches") if patches else np.empty(0, np.int16),
        _whole(held, CUBES) if has_cubes else None,
    )


def _whole(held: Held, name: str) -> NDArray[Any]:
    return np.asarray(zarr.open_array(held.zarr / name, mode="r", zarr_format=3)[:])


def _feature_chunks(shape: tuple[int, ...]) -> dict[str, Any]:
    """Keep rows of numbers together, and maps apart: those of a few slices are some hundred KiB, of a volume MiB."""
    if len(shape) == 2:
        return {"chunks": shape, "dimension_names": ["slice", "feature"]}
    names = ["slice", "row", "column", "channel"]
    return {"shards": shape, "chunks": (1, *shape[1:]), "dimension_names": names}


def _contents(stored: Mapping[str, Any]) -> dict[str, bytes]:
    return {key: content.to_bytes() for key, content in sorted(stored.items())}


def read_level(group: Held, level: int) -> NDArray[np.int16]:
    """Read all voxels of a volume through zarr-python, as other software does.

    Parameters
    ----------
    group : Held
        Group of the volume.
    level : int
        0, or 1 for half the rows and columns.

    Raises
    ------
    FileNotFoundError
        If they are not there.
    """
    return np.asarray(zarr.open_array(group.zarr / str(level), mode="r", zarr_format=3)[:], np.int16)


def read_features(held: Held, slices: slice) -> tuple[Any, NDArray[np.float16]]:
    """Read features and the digest of their volume.

    Parameters
    ----------
    held : Held
        The array.
    slices : slice
        From 0 at the top.

    Raises
    ------
    FileNotFoundError
        If they are not there.
    """
    described = json.loads(held.whole(FACTS))
    of_digest = described.pop("attributes", {}).get("volume_digest")
    shape = tuple(described["shape"])
    if len(shape) == 2 and described == _rows_description(shape):
        return of_digest, _read_rows(held, shape)[slices]
    return of_digest, np.asarray(zarr.open_array(held.zarr, mode="r", zarr_format=3)[slices], np.float16)


def _read_rows(held: Held, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Read the one chunk of features: zarr-python takes four times as long as that and its decoder."""
    chunk = held.whole("c/0/0")
    content, checksum = chunk[:-CHECKSUM_BYTES], chunk[-CHECKSUM_BYTES:]
    if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
        raise ValueError("features must have their checksum, got another one")
    return np.frombuffer(Blosc().decode(content), "<f2").reshape(shape).astype(np.float16)


@lru_cache(maxsize=8)
def _rows_description(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return how features of this shape are laid out, as Zarr describes it."""
    described: dict[str, Any] = json.loads(encode_features(np.zeros(shape, np.float16), "")[FACTS])
    del described["attributes"]
    return described


def halved(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Halve rows and columns: the mean of means, the maximum of maxima.

    Parameters
    ----------
    hu : (2, slices, size, size) array of int16
        Channels ``mean`` and ``max``.

    Returns
    -------
    (2, slices, size // 2, size // 2) array of int16
        The same field of view.
    """
    half = hu.shape[-1] // 2
    means = [np.rint(reduce_plane(plane, half)[0]) for plane in hu[0]]
    peaks = [reduce_plane(plane, half)[1] for plane in hu[1]]
    return np.stack([np.stack(means), np.stack(peaks)]).astype(np.int16)


def _multiscales(cells_mm: list[tuple[float, float, float]], corner_mm: tuple[float, float]) -> dict[str, Any]:
    """Describe the levels; a translation is the centre of a first cell, in z from that of level 0 downwards."""
    datasets = [
        {"path": str(level), "coordinateTransformations": _transformations(corner_mm, cell_mm)}
        for level, cell_mm in enumerate(cells_mm)
    ]
    return {
        "version": "0.5",
        "multiscales": [{"name": "hu", "axes": AXES, "datasets": datasets, "type": "area mean and maximum"}],
        "omero": {"channels": [_channel(name) for name in CHANNELS]},
    }


def _transformations(corner_mm: tuple[float, float], cell_mm: tuple[float, float, float]) -> list[dict[str, Any]]:
    centre_mm = [corner + cell / 2 for corner, cell in zip(corner_mm, cell_mm[1:], strict=True)]
    return [{"type": "scale", "scale": [1.0, *cell_mm]}, {"type": "translation", "translation": [0.0, 0.0, *centre_mm]}]


def _channel(name: str) -> dict[str, Any]:
    return {"label": name, "color": "FFFFFF", "active": name == CHANNELS[0], "window": WINDOWS_HU}


def image_metadata(shape: tuple[int, int, int, int]) -> Any:
    """Return how an array of this shape is laid out, as Zarr describes it."""
    return _new_array(zarr.create_group(MemoryStore(), zarr_format=3), "0", shape).metadata


def _new_array(group: zarr.Group, name: str, shape: tuple[int, int, int, int]) -> zarr.Array:
    channels, slices, rows, columns = shape
    shard_slices = -(-slices // INNER_SLICES) * INNER_SLICES
    return group.create_array(
        name,
        shape=shape,
        dtype=np.int16,
        shards=(channels, shard_slices, rows, columns),
        chunks=(channels, INNER_SLICES, rows, columns),
        compressors=COMPRESSOR,
        dimension_names=[axis["name"] for axis in AXES],
        fill_value=AIR_HU,
        config={"write_empty_chunks": True},
    )
