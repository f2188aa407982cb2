"""Facts about a store's volumes: which series it holds, and the origin of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from lidcflow.config import Access, Config, PreprocessConfig
from lidcflow.config.validators import in_a_line
from lidcflow.dicom.records import Series
from lidcflow.dicom.values import is_uid
from lidcflow.errors import StoreError
from lidcflow.store.configured import check, claim_store, configuration_of
from lidcflow.store.locate import is_store, store_place
from lidcflow.store.parallel import side_by_side
from lidcflow.store.place import SERIES, Result
from lidcflow.store.record import VolumeRecord, record_of
from lidcflow.store.sameness import is_of_headers, is_of_pixels
from lidcflow.store.summary import VolumeSummary, summary_of

LISTED_FROM = 500
"""Series from which one listing of all, a request for a thousand, is cheaper than a request for each one's marker."""


class VolumeFacts:
    """A store that is opened, and what is known of its volumes without their voxels.

    Parameters and errors are those of `lidcflow.store.volumes.VolumeStore`, which is what callers open.
    """

    def __init__(
        self, root: str | Path, config: PreprocessConfig, *, create: bool = True, access: Access | None = None
    ) -> None:
        self.root = str(root)
        self.config = config
        self._place = store_place(root, access or Access())
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
        """Its name in messages."""
        return self._place.name

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
        checked = self._checked(uid)
        try:
            return read(self._place.facts(checked, listed=listed))
        except FileNotFoundError:
            raise self._absent(uid) from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise StoreError(
                f"{self.name}: the group of series {uid} must hold its facts, "
                "got unreadable ones; run lidcflow repair --verify and preprocess the series again"
            ) from None

    def _group(self, series_instance_uid: str) -> str:
        return f"{SERIES}/{self._checked(series_instance_uid)}"

    def _checked(self, series_instance_uid: str) -> str:
        if not isinstance(series_instance_uid, str) or not is_uid(series_instance_uid):
            raise StoreError(
                f"{self.name}: a series must be named by its UID of digits and dots, got "
                f"{in_a_line(repr(series_instance_uid))}; check the UID"
            )
        return series_instance_uid

    def _absent(self, series_instance_uid: str) -> StoreError:
        return StoreError(
            f"{self.name}: series {series_instance_uid} must be preprocessed, got no volume of it; "
            "run lidcflow preprocess on its source"
        )
