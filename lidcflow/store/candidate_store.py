"""Nodule candidates beside the volumes of a store."""

from __future__ import annotations

from functools import partial

from lidcflow.errors import StoreError
from lidcflow.store.arrays import CandidateArrays, read_candidates
from lidcflow.store.place import CANDIDATES
from lidcflow.store.record import without_candidates
from lidcflow.store.stored_features import StoredFeatures


class CandidateStore(StoredFeatures):
    """A store with the nodule candidates of its volumes, see `StoredFeatures`."""

    def read_candidates(
        self, series_instance_uid: str, *, cubes: bool = True, patches: bool = True
    ) -> CandidateArrays | None:
        """Read the nodule candidates of the committed volume.

        Parameters
        ----------
        series_instance_uid : str
            The series.
        cubes, patches : bool
            Whether to read their cubes too, and their patches, which are empty otherwise.

        Returns
        -------
        CandidateArrays, or None
            None when there are none, or damaged ones, or those of another volume: the next preprocessing finds them.
        """
        read = partial(read_candidates, cubes=cubes, patches=patches)
        try:
            found = self._place.read(self._candidates(series_instance_uid), read)
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

    def _candidates(self, series_instance_uid: str) -> str:
        return f"{self._group(series_instance_uid)}/{CANDIDATES}"
