"""Features beside the volumes of a store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import StoreError
from lidcflow.store.arrays import encode_features, read_features
from lidcflow.store.parallel import side_by_side
from lidcflow.store.volume_facts import VolumeFacts

_FEATURE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class StoredFeatures(VolumeFacts):
    """A store with the features of its volumes, see `VolumeFacts`."""

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

    def _features(self, series_instance_uid: str, feature_id: str) -> str:
        return f"{self._group(series_instance_uid)}/features/{_checked_id(feature_id)}"


def _is_feature_id(name: str) -> bool:
    return _FEATURE_ID.fullmatch(name) is not None


def _checked_id(feature_id: str) -> str:
    if not _is_feature_id(feature_id):
        raise ValueError(f"feature_id must be letters, digits, '.', '_' and '-', got {feature_id!r}")
    return feature_id
