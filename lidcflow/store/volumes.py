"""The store: one Zarr group per series, committed whole, all made with one preprocessing configuration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import zarr
from numpy.typing import NDArray

from lidcflow.dicom.records import Series
from lidcflow.store.arrays import CandidateArrays, encode_candidates, encode_image, read_level
from lidcflow.store.candidate_store import CandidateStore
from lidcflow.store.hierarchy import open_root
from lidcflow.store.place import CANDIDATES, FACTS, Held, Result, Swept
from lidcflow.store.record import VolumeRecord, attributes_of, hash_volume, with_state
from lidcflow.store.sameness import is_of_pacs
from lidcflow.store.shards import ShardLayout, read_slices, shard_layout
from lidcflow.store.summary import VolumeSummary
from lidcflow.volume.slabs import Volume

__all__ = ["VolumeRecord", "VolumeStore", "VolumeSummary"]


class VolumeStore(CandidateStore):
    """Volumes, features and nodule candidates of series under one folder, or one prefix of a bucket.

    Parameters
    ----------
    root : str or Path
        Folder of the store, or ``s3://bucket/prefix``.
    config : PreprocessConfig
        What its volumes are made with.
    create : bool
        Whether to make the store when it is not there.
    access : Access
        How buckets are reached.

    Raises
    ------
    StoreMismatch
        If the store was written with another configuration.
    StoreError
        If there is no store and `create` is false, or the place holds something else.
    ResourceError
        If the bucket can't be reached.

    Examples
    --------
    >>> store = VolumeStore(Path("workspace/store"), PreprocessConfig())  # doctest: +SKIP
    >>> store.write(series, reduce_series(series, PreprocessConfig()))  # doctest: +SKIP
    """

    _layout: ShardLayout | None = None

    @property
    def zarr(self) -> zarr.Group:
        """The whole store as a Zarr group that can only be read: ``series/<SeriesInstanceUID>/0`` is a volume."""
        return open_root(self._place.zarr)

    def require_writable(self) -> None:
        """Make sure that volumes can be written, before work starts.

        Raises
        ------
        ResourceError
            If they can't.
        """
        self._place.require_writable()

    def write(self, series: Series, volume: Volume, candidates: CandidateArrays | None = None) -> str:
        """Commit a volume with its nodule candidates, in place of an older one of the series and its features.

        The same volume again changes nothing: Dask may run a series twice. The same volume of a source in another
        state, such as a copy of the archive, keeps voxels and features: the state is noted. A volume that has no
        candidates yet, or those of another schema, keeps its voxels and features and gets them.

        Returns
        -------
        str
            Volume digest: SHA-256 over voxels and edges.

        Raises
        ------
        ResourceError
            If the disk is too full, or the bucket can't be reached.
        """
        uid, digest = self._checked(series.series_instance_uid), hash_volume(volume)
        current = self._same_headers(series)
        same = current if current and current.volume_digest == digest else None
        has = same.candidates if same else 0
        schema = int(candidates.attributes["schema"]) if candidates else has
        if same and self.is_of(same, series) and has == schema:
            return digest
        self._place.require_room(2 * volume.hu.nbytes + (candidates.nbytes if candidates else 0))
        states = same.source_states if same else ()
        attributes = attributes_of(series, volume, self.config, states, candidates=schema)
        objects = encode_image(volume.hu, _cell_mm(series, volume), attributes, _corner_mm(series))
        part = encode_candidates(candidates, digest) if candidates else {}
        if same:
            if part:
                self._place.commit_candidates(uid, part)
            self._place.describe(uid, objects[FACTS])
        else:
            self._place.commit_volume(uid, {**{f"{CANDIDATES}/{key}": part[key] for key in part}, **objects})
        return digest

    def note_state(self, found: VolumeSummary, series: Series) -> None:
        """Note the state of a series in a PACS whose volume kept none: from now on a change is seen.

        Parameters
        ----------
        found : VolumeSummary
            The volume, which is current.
        series : Series
            Its source.
        """
        if found.source_states or not series.state or not is_of_pacs(series):
            return
        uid = self._checked(series.series_instance_uid)
        try:
            self._place.describe(uid, with_state(self._place.facts(uid), series.state))
        except FileNotFoundError:
            raise self._absent(uid) from None

    def read_hu(self, series_instance_uid: str, slices: slice | None = None) -> NDArray[np.int16]:
        """Read voxels.

        Parameters
        ----------
        series_instance_uid : str
            A committed series.
        slices : slice, optional
            Range of slices, from 0 at the top; all by default.

        Returns
        -------
        (2, n, size, size) array of int16
            HU, channels ``mean`` and ``max``.

        Raises
        ------
        StoreError
            If the series is not in the store.
        """

        def voxels(group: Held) -> NDArray[np.int16]:
            self._layout = self._layout or shard_layout(group)
            return read_slices(group, self._layout, slices or slice(None))

        return self._read(series_instance_uid, voxels)

    def read_levels(self, series_instance_uid: str) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Read all voxels as they lie there, at both sizes.

        Raises
        ------
        StoreError
            If the series is not in the store.
        """

        return self._read(series_instance_uid, lambda group: (read_level(group, 0), read_level(group, 1)))

    def _read(self, series_instance_uid: str, read: Callable[[Held], Result]) -> Result:
        try:
            return self._place.read(self._group(series_instance_uid), read)
        except FileNotFoundError:
            raise self._absent(series_instance_uid) from None

    def delete(self, series_instance_uid: str) -> None:
        """Delete everything of a series; one that is not there is deleted already."""
        self._place.remove(self._group(series_instance_uid))

    def recount(self) -> None:
        """Add up the size of the store anew, which `lidcflow status` shows."""
        self._place.recount()

    def sweep(self) -> Swept:
        """Remove leftovers of dead writers, and count the drafts of living ones."""
        return self._place.sweep()


def _cell_mm(series: Series, volume: Volume) -> tuple[float, float, float]:
    _, slices, rows, columns = volume.hu.shape
    depth_mm = float(volume.edges_mm[0] - volume.edges_mm[-1]) / slices
    row_mm = series.rows * series.row_spacing_mm / rows
    return depth_mm, row_mm, series.columns * series.column_spacing_mm / columns


def _corner_mm(series: Series) -> tuple[float, float] | None:
    """Return where the first row and the first column begin, half a pixel before their centre.

    OME-Zarr has no rotation: the places are measured along the stored axes, from the patient's origin. Where slices
    are stored in the usual view, these are the patient's y and x.
    """
    if series.axes is None:
        return None
    down_mm = float(np.dot(series.axes.origin_mm, series.axes.column))
    across_mm = float(np.dot(series.axes.origin_mm, series.axes.row))
    return down_mm - series.row_spacing_mm / 2, across_mm - series.column_spacing_mm / 2
