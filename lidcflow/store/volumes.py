"""The store: one Zarr group per series, committed whole, all made with one preprocessing configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Access, Config, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.dicom.values import is_uid
from lidcflow.errors import StoreError
from lidcflow.store.arrays import (
    CandidateArrays,
    encode_candidates,
    encode_features,
    encode_image,
    read_candidates,
    read_features,
    read_level,
)
from lidcflow.store.configured import check, claim_store, configuration_of
from lidcflow.store.locate import is_store, store_place
from lidcflow.store.parallel import side_by_side
from lidcflow.store.place import CANDIDATES, FACTS, SERIES, Held, Result, Swept
from lidcflow.store.record import VolumeRecord, attributes_of, hash_volume, record_of, with_state, without_candidates
from lidcflow.store.sameness import is_of_headers, is_of_pacs, is_of_pixels
from lidcflow.store.shards import ShardLayout, read_slices, shard_layout
from lidcflow.store.summary import VolumeSummary, summary_of
from lidcflow.volume.reduce import Volume

__all__ = ["VolumeRecord", "VolumeStore", "VolumeSummary"]

LISTED_FROM = 500
"""Series from which one listing of all, a request for a thousand, is cheaper than a request for each one's marker."""

_FEATURE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class VolumeStore:
    """Volumes and features of series under one folder, or one prefix of a bucket.

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

    def __init__(
        self, root: str | Path, config: PreprocessConfig, *, create: bool = True, access: Access | None = None
    ) -> None:
        self.root = str(root)
        self.config = config
        self._place = store_place(root, access or Access())
        self._layout: ShardLayout | None = None
        if create:
            claim_store(self._place, config)
        check(self._place, config)

    @classmethod
    def of(cls, config: Config, *, create: bool = False) -> Self:
        """Open the store of a configuration."""
        return cls(config.store_root, config.preprocess, create=create, access=config.access)

    @classmethod
    def found(cls, root: str | Path, access: Access | None = None) -> Self | None:
        """Open the store that is there with the configuration it was made with; None where there is none."""
        if not is_store(root, access):
            return None
        made_with = configuration_of(store_place(root, access or Access()))
        return cls(root, made_with, create=False, access=access)

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self._place.name

    def require_writable(self) -> None:
        """Make sure that volumes can be written, before work starts.

        Raises
        ------
        ResourceError
            If they can't.
        """
        self._place.require_writable()

    def series_uids(self) -> list[str]:
        """List the series that are committed, in order."""
        return self._place.series_uids()

    def is_current(self, series: Series) -> bool:
        """Return whether the volume of exactly this source is committed."""
        return self.current_summary(series) is not None

    def current_summary(self, series: Series) -> VolumeSummary | None:
        """Read what is known of the volume of exactly this source; None where it is not committed."""
        found = self._same_headers(series)
        return found if found and self.is_of(found, series) else None

    def is_of(self, found: VolumeSummary, series: Series) -> bool:
        """Return whether a volume was made of exactly this source, with the configuration of this store.

        A source that has changed by what its storage tells, and has the same headers, is to be read: `write` then
        keeps a volume whose pixels are the same.
        """
        return self.is_of_headers(found, series) and is_of_pixels(
            found, series, lambda: self._place.committed_s(found.series_instance_uid)
        )

    def is_of_headers(self, found: VolumeSummary, series: Series) -> bool:
        """Return whether a volume was made of images with the headers of this source, with this configuration."""
        return is_of_headers(found, series, self.config.digest)

    def _same_headers(self, series: Series) -> VolumeSummary | None:
        try:
            found = self.summary(series.series_instance_uid)
        except StoreError:
            return None
        return found if self.is_of_headers(found, series) else None

    def write(self, series: Series, volume: Volume, candidates: CandidateArrays | None = None) -> str:
        """Commit a volume with its nodule candidates, in place of an older one of the series and its features.

        The same volume again changes nothing: Dask may run a series twice. The same volume of a source in another
        state, such as a copy of the archive, keeps voxels and features: the state is noted. A volume that has no
        candidates yet keeps its voxels and features and gets them.

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
        self._place.require_room(2 * volume.hu.nbytes + (candidates.patches.nbytes if candidates else 0))
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

    def read_candidates(self, series_instance_uid: str) -> CandidateArrays | None:
        """Read the nodule candidates of the committed volume.

        Returns
        -------
        CandidateArrays, or None
            None when there are none, or damaged ones, or those of another volume: the next preprocessing finds them.
        """
        try:
            found = self._place.read(self._candidates(series_instance_uid), read_candidates)
            of_volume = self.summary(series_instance_uid)
        except (FileNotFoundError, StoreError, ValueError, KeyError, TypeError, RuntimeError):
            return None
        return found if of_volume.candidates and found.attributes["volume_digest"] == of_volume.volume_digest else None

    def delete_candidates(self, series_instance_uid: str) -> None:
        """Delete the nodule candidates of a committed volume; the next preprocessing finds them again.

        Raises
        ------
        StoreError
            If the series is not in the store.
        """
        uid = self._checked(series_instance_uid)
        try:
            self._place.describe(uid, without_candidates(self._place.facts(uid)))
        except FileNotFoundError:
            raise self._absent(uid) from None
        self._place.remove(self._candidates(uid))

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

    def record(self, series_instance_uid: str) -> VolumeRecord:
        """Read what is known of a committed volume.

        Raises
        ------
        StoreError
            If the series is not in the store, or its group can't be read.
        """
        return self._described(series_instance_uid, lambda content: record_of(json.loads(content)["attributes"]))

    def records(self, series_instance_uids: Iterable[str]) -> Iterator[VolumeRecord]:
        """Read what is known of many volumes, a few ahead, in the order of their UIDs' list."""
        return side_by_side(self.record, series_instance_uids, self._place.at_once)

    def summary(self, series_instance_uid: str) -> VolumeSummary:
        """Read what is known of a committed volume without its source slices; errors are those of `record`."""
        return self._described(series_instance_uid, summary_of)

    def summaries(self, series_instance_uids: Collection[str]) -> Iterator[VolumeSummary]:
        """Read what is known of many volumes in short, a few ahead, in the order of their UIDs' list.

        Raises
        ------
        StoreError
            If one is not in the store, or can't be read.
        """
        for uid, found in self.look_up(series_instance_uids):
            yield found or self.summary(uid)

    def look_up(self, series_instance_uids: Collection[str]) -> Iterator[tuple[str, VolumeSummary | None]]:
        """Yield each UID with what is known of its volume in short; None where there is none, or a damaged one."""
        many = len(series_instance_uids) >= LISTED_FROM
        listed = set(self.series_uids()) if many else None
        return side_by_side(partial(self._look_up, listed=listed), series_instance_uids, self._place.at_once)

    def _look_up(self, uid: str, listed: Collection[str] | None) -> tuple[str, VolumeSummary | None]:
        if listed is not None and uid not in listed:
            return uid, None
        try:
            return uid, self._described(uid, summary_of, listed=listed is not None)
        except StoreError:
            return uid, None

    def _described(self, uid: str, read: Callable[[bytes], Result], *, listed: bool = False) -> Result:
        try:
            return read(self._place.facts(self._checked(uid), listed=listed))
        except FileNotFoundError:
            raise self._absent(uid) from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise StoreError(
                f"{self.name}: the group of series {uid} must hold its facts, "
                "got unreadable ones; run lidcflow repair --verify and preprocess the series again"
            ) from None

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

    def write_features(
        self,
        series_instance_uid: str,
        feature_id: str,
        features: NDArray[np.float16],
        volume_digest: str,
        *,
        engine_error: float = 0.0,
    ) -> None:
        """Commit the features of a volume, in place of older ones.

        Parameters
        ----------
        series_instance_uid : str
            A committed series.
        feature_id : str
            Names backbone, input, size, and what computed them unless it was Keras in fp32.
        features : (slices, d) or (slices, rows, columns, channels) array of float16
            One row per slice, or its activation maps.
        volume_digest : str
            Digest of the volume that they were computed from.
        engine_error : float
            What the check of the engine came to, see `lidcflow.learn.engines.Engine`.

        Raises
        ------
        StoreError
            If the series is not in the store.
        ResourceError
            If the disk is too full, or the bucket can't be reached.
        """
        uid = self._checked(series_instance_uid)
        objects = encode_features(features, volume_digest, engine_error=engine_error)
        self._place.require_room(features.nbytes)
        try:
            self._place.commit_features(uid, _checked_id(feature_id), objects)
        except FileNotFoundError:
            raise self._absent(series_instance_uid) from None

    def read_features(
        self, series_instance_uid: str, feature_id: str, slices: slice | None = None
    ) -> NDArray[np.float16] | None:
        """Read the features of the committed volume.

        Parameters
        ----------
        series_instance_uid, feature_id : str
            Whose, and which.
        slices : slice, optional
            Range of slices, from 0 at the top; all by default. Maps of others are not read.

        Returns
        -------
        (slices, d) or (slices, rows, columns, channels) array of float16, or None
            None when there are none, or damaged ones, or those of another volume: they are to be computed anew.
        """
        key = self._features(series_instance_uid, feature_id)
        try:
            of_digest, features = self._place.read(key, lambda held: read_features(held, slices or slice(None)))
            return features if of_digest == self.summary(series_instance_uid).volume_digest else None
        except (FileNotFoundError, StoreError, ValueError, KeyError, TypeError):
            return None

    def each_features(
        self, series_instance_uids: Iterable[str], feature_id: str, slices: slice | None = None
    ) -> Iterator[NDArray[np.float16] | None]:
        """Read the features of many series as `read_features` does, a few ahead, in the order of their UIDs' list."""
        read = partial(self.read_features, feature_id=feature_id, slices=slices)
        return side_by_side(read, series_instance_uids, self._place.at_once)

    def feature_ids(self, series_instance_uid: str) -> list[str]:
        """List the features of a series, in order, those of another volume among them."""
        return [name for name in self._place.feature_ids(self._checked(series_instance_uid)) if _is_feature_id(name)]

    def delete_features(self, series_instance_uid: str, feature_id: str) -> None:
        """Delete features; what is not there is deleted already."""
        self._place.remove(self._features(series_instance_uid, feature_id))

    def delete(self, series_instance_uid: str) -> None:
        """Delete everything of a series; one that is not there is deleted already."""
        self._place.remove(self._group(series_instance_uid))

    def sweep(self) -> Swept:
        """Remove what dead writers left, and count what living ones are at."""
        return self._place.sweep()

    def _group(self, series_instance_uid: str) -> str:
        return f"{SERIES}/{self._checked(series_instance_uid)}"

    def _candidates(self, series_instance_uid: str) -> str:
        return f"{self._group(series_instance_uid)}/{CANDIDATES}"

    def _features(self, series_instance_uid: str, feature_id: str) -> str:
        return f"{self._group(series_instance_uid)}/features/{_checked_id(feature_id)}"

    def _checked(self, series_instance_uid: str) -> str:
        if not is_uid(series_instance_uid):
            raise StoreError(f"{self.name}: a series must be named by its UID of digits and dots; check the UID")
        return series_instance_uid

    def _absent(self, series_instance_uid: str) -> StoreError:
        return StoreError(
            f"{self.name}: series {series_instance_uid} must be preprocessed, got no volume of it; "
            "run lidcflow preprocess on its source"
        )


def _is_feature_id(name: str) -> bool:
    return _FEATURE_ID.fullmatch(name) is not None


def _checked_id(feature_id: str) -> str:
    if not _is_feature_id(feature_id):
        raise ValueError(f"feature_id must be letters, digits, '.', '_' and '-', got {feature_id!r}")
    return feature_id


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
