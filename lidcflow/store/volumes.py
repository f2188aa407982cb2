"""The store: one Zarr group per series, committed whole, all made with one preprocessing configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from lidcflow.config import PreprocessConfig
from lidcflow.ct.records import Series
from lidcflow.ct.reduce import Volume
from lidcflow.ct.values import is_uid
from lidcflow.errors import StoreError
from lidcflow.store.arrays import write_features, write_image
from lidcflow.store.commit import committed, read_whole, remove, require_space, sweep
from lidcflow.store.guard import check, claim
from lidcflow.store.record import VolumeRecord, attributes_of, digest_of, record_of

__all__ = ["VolumeRecord", "VolumeStore"]

_FEATURE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class VolumeStore:
    """Volumes and features of series under one folder.

    Parameters
    ----------
    root : Path
        Folder of the store.
    config : PreprocessConfig
        What its volumes are made with.
    create : bool
        Whether to make the store when it is not there.

    Raises
    ------
    StoreMismatch
        If the store was written with another configuration.
    StoreError
        If there is no store and `create` is false, or the folder holds something else.

    Examples
    --------
    >>> store = VolumeStore(Path("workspace/store"), PreprocessConfig())  # doctest: +SKIP
    >>> store.write(series, reduce_series(series, PreprocessConfig()))  # doctest: +SKIP
    """

    def __init__(self, root: Path, config: PreprocessConfig, *, create: bool = True) -> None:
        self.root = Path(root)
        self.config = config
        self._aside = self.root / ".incoming"
        if create:
            claim(self.root, config)
            sweep(self._aside)
        check(self.root, config)

    def series_uids(self) -> list[str]:
        """List the series that are committed, in order."""
        folder = self.root / "series"
        return sorted(entry.name for entry in folder.iterdir() if is_uid(entry.name)) if folder.is_dir() else []

    def is_current(self, series: Series) -> bool:
        """Tell whether the volume of exactly this source is committed."""
        try:
            record = self.record(series.series_instance_uid)
        except StoreError:
            return False
        return record.fingerprint == series.fingerprint and record.config_digest == self.config.digest

    def write(self, series: Series, volume: Volume) -> str:
        """Commit a volume, in place of an older one of the series and its features.

        The same volume again changes nothing: Dask may run a series twice.

        Returns
        -------
        str
            Volume digest: SHA-256 over voxels and edges.

        Raises
        ------
        ResourceError
            If the disk is too full.
        """
        digest = digest_of(volume)
        if self.is_current(series) and self.record(series.series_instance_uid).volume_digest == digest:
            return digest
        require_space(self.root, 2 * volume.hu.nbytes)
        (self.root / "series").mkdir(exist_ok=True)
        with committed(self._group(series.series_instance_uid), self._aside) as draft:
            write_image(draft, volume.hu, _cell_mm(series, volume), attributes_of(series, volume, self.config))
        return digest

    def record(self, series_instance_uid: str) -> VolumeRecord:
        """Read what is known of a committed volume.

        Raises
        ------
        StoreError
            If the series is not in the store, or its group can't be read.
        """
        try:
            text = (self._group(series_instance_uid) / "zarr.json").read_text(encoding="utf-8")
            return record_of(json.loads(text)["attributes"])
        except FileNotFoundError:
            raise self._absent(series_instance_uid) from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise StoreError(
                f"store {self.root}: the group of series {series_instance_uid} must hold its facts, "
                "got unreadable ones; delete the group and preprocess the series again"
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
        group = self._group(series_instance_uid)
        try:
            return read_whole(group, lambda: _voxels(group, slices or slice(None)))
        except FileNotFoundError:
            raise self._absent(series_instance_uid) from None

    def write_features(
        self, series_instance_uid: str, feature_id: str, features: NDArray[np.float16], volume_digest: str
    ) -> None:
        """Commit the features of a volume, in place of older ones.

        Parameters
        ----------
        series_instance_uid : str
            A committed series.
        feature_id : str
            Names backbone, input and size.
        features : (slices, d) array of float16
            One row per slice.
        volume_digest : str
            Digest of the volume that they were computed from.

        Raises
        ------
        StoreError
            If the series is not in the store.
        ResourceError
            If the disk is too full.
        """
        require_space(self.root, features.nbytes)
        try:
            with committed(self._features(series_instance_uid, feature_id), self._aside) as draft:
                write_features(draft, features, volume_digest)
        except FileNotFoundError:
            raise self._absent(series_instance_uid) from None

    def read_features(self, series_instance_uid: str, feature_id: str) -> NDArray[np.float16] | None:
        """Read the features of the committed volume.

        Returns
        -------
        (slices, d) array of float16, or None
            None when there are none, or those of another volume.
        """
        folder = self._features(series_instance_uid, feature_id)
        try:
            of_digest, features = read_whole(folder, lambda: _features(folder))
            return features if of_digest == self.record(series_instance_uid).volume_digest else None
        except (FileNotFoundError, StoreError):
            return None

    def delete(self, series_instance_uid: str) -> None:
        """Delete everything of a series; one that is not there is deleted already."""
        remove(self._group(series_instance_uid), self._aside)

    def _group(self, series_instance_uid: str) -> Path:
        if not is_uid(series_instance_uid):
            raise StoreError(f"store {self.root}: a series must be named by its UID of digits and dots; check the UID")
        return self.root / "series" / series_instance_uid

    def _features(self, series_instance_uid: str, feature_id: str) -> Path:
        if not _FEATURE_ID.fullmatch(feature_id):
            raise ValueError(f"feature_id must be letters, digits, '.', '_' and '-', got {feature_id!r}")
        return self._group(series_instance_uid) / "features" / feature_id

    def _absent(self, series_instance_uid: str) -> StoreError:
        return StoreError(
            f"store {self.root}: series {series_instance_uid} must be preprocessed, got no volume of it; "
            "run lidcflow preprocess on its source"
        )


def _voxels(group: Path, slices: slice) -> NDArray[np.int16]:
    shard = group / "0" / "c" / "0" / "0" / "0" / "0"
    if not shard.is_file():
        raise FileNotFoundError(shard)
    array = zarr.open_array(group / "0", mode="r")
    return np.asarray(array[:, slices], np.int16)


def _features(folder: Path) -> tuple[Any, NDArray[np.float16]]:
    """Read features and the digest of their volume."""
    array = zarr.open_array(folder, mode="r")
    return array.attrs.get("volume_digest"), np.asarray(array[:], np.float16)


def _cell_mm(series: Series, volume: Volume) -> tuple[float, float, float]:
    _, slices, rows, columns = volume.hu.shape
    depth_mm = float(volume.edges_mm[0] - volume.edges_mm[-1]) / slices
    row_mm = series.rows * series.row_spacing_mm / rows
    return depth_mm, row_mm, series.columns * series.column_spacing_mm / columns
