"""A store in a bucket: what completes a group is written last, and its marker after that.

A bucket has no rename, so the order of writing stands for it: arrays and features, the group's ``zarr.json``, then an
empty object ``committed/<SeriesInstanceUID>``. The way back is the reverse. The series of a store are what
``committed/`` lists, a page for a thousand series, however many chunks they have.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from obstore.exceptions import AlreadyExistsError

from lidcflow.config import Access
from lidcflow.dicom.values import is_uid
from lidcflow.errors import ResourceError, StoreError
from lidcflow.objects import bucket_of, split_url, storage_errors
from lidcflow.store.commit import read_whole
from lidcflow.store.parallel import AtOnce
from lidcflow.store.place import (
    CANDIDATES,
    FACTS,
    GROUP,
    GUARD,
    SERIES,
    Held,
    Objects,
    Result,
    Swept,
    checked_length,
    open_for_zarr,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

COMMITTED = "committed"
ATTEMPTS = 8
"""Times that a writer starts again when another one writes the same series at once."""

ABANDONED_AFTER = timedelta(hours=1)
"""Age of the newest object from which a group without a marker counts as a dead writer's."""


@dataclass(frozen=True)
class HeldObjects:
    """Objects under one key while they are read."""

    zarr: Any
    bucket: S3Store
    key: str

    def whole(self, name: str) -> bytes:
        """Return an object."""
        return bytes(self.bucket.get(f"{self.key}/{name}").bytes())

    def tail(self, name: str, n_bytes: int) -> bytes:
        """Return the end of an object."""
        found = self.bucket.get(f"{self.key}/{name}", options={"range": {"suffix": n_bytes}})
        return checked_length(bytes(found.bytes()), n_bytes)

    def ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of an object, neighbouring ones with one request."""
        starts, ends = zip(*ranges, strict=True)
        found = self.bucket.get_ranges(f"{self.key}/{name}", starts=starts, ends=ends)
        return [checked_length(bytes(part), end - start) for part, (start, end) in zip(found, ranges, strict=True)]


class BucketPlace:
    """A prefix in a bucket of S3-like storage.

    Parameters
    ----------
    root : str
        ``s3://bucket/prefix``.
    access : Access
        How buckets are reached.
    """

    def __init__(self, root: str, access: Access) -> None:
        self._url = root.rstrip("/")
        self._prefix = split_url(root)[2]
        self._bucket = bucket_of(root, access)
        self._connections = access.s3.connections

    @cached_property
    def _zarr(self) -> Any:
        """The bucket as Zarr reads it."""
        return open_for_zarr(self._bucket)

    @property
    def zarr(self) -> Any:
        """Its root for Zarr to read."""
        return self._zarr / self._prefix

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"store {self._url}"

    def claim(self, guard: bytes) -> None:
        """Put the guard object where nothing is yet, and complete the groups; of two at once the first one wins.

        Raises
        ------
        StoreError
            If there is something else under the prefix.
        """
        with storage_errors(self.name):
            if not self._has(GUARD):
                self._require_empty()
                with suppress(AlreadyExistsError):
                    self._bucket.put(self._at(GUARD), guard, mode="create")
            if self._has(FACTS):
                return
        with suppress(ResourceError), storage_errors(self.name):  # who may only read an older store can still open it
            self._bucket.put(self._at(SERIES, FACTS), GROUP)
            self._bucket.put(self._at(FACTS), GROUP)

    def _require_empty(self) -> None:
        if self._holds_anything() and not self._has(GUARD):
            raise StoreError(
                f"{self.name}: the prefix must be empty or a store of lidcflow, got other objects; choose another store"
            )

    def _holds_anything(self) -> bool:
        return any(page for page in self._bucket.list(self._prefix or None, chunk_size=1))

    def guard(self) -> bytes:
        """Return the guard object."""
        return self._get(GUARD)

    def require_writable(self) -> None:
        """Do nothing: a bucket that cannot be written refuses the first volume, which ends the run."""

    def require_room(self, needed_bytes: int) -> None:
        """Do nothing: a bucket does not report its free space, and a full one refuses the write itself."""

    def series_uids(self) -> list[str]:
        """List the committed series, in order."""
        return sorted(name for name in map(_last, self._paths(COMMITTED)) if is_uid(name))

    def feature_ids(self, uid: str) -> list[str]:
        """List the features of a series, in order."""
        return self._folders(f"{SERIES}/{uid}/features")

    @property
    def at_once(self) -> AtOnce:
        """Number of descriptions read in parallel: the number of requests that a process may have."""
        return AtOnce(readers=self._connections)

    def facts(self, uid: str, *, listed: bool = False) -> bytes:
        """Return the description of a committed series' group."""
        with storage_errors(self.name):
            if not listed:
                self._bucket.head(self._at(COMMITTED, uid))
        return self._get(f"{SERIES}/{uid}/{FACTS}")

    def committed_s(self, uid: str) -> float:
        """Return when the description of a committed series' group was written."""
        with storage_errors(self.name):
            return self._bucket.head(self._at(SERIES, uid, FACTS))["last_modified"].timestamp()

    def describe(self, uid: str, description: bytes) -> None:
        """Put a description in place of the older one."""
        with storage_errors(self.name):
            self._bucket.head(self._at(COMMITTED, uid))
            self._bucket.put(self._at(SERIES, uid, FACTS), description)

    def read(self, key: str, read: Callable[[Held], Result]) -> Result:
        """Call `read` with the objects at `key`, again when any was replaced meanwhile."""
        held = HeldObjects(self._zarr / self._at(key), self._bucket, self._at(key))
        with self._reading(key):
            return read_whole(lambda: self._identity(key), lambda: read(held))

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        with storage_errors(self.name):
            if key.count("/") == 1:
                self._bucket.head(self._at(COMMITTED, _last(key)))
            yield

    def _identity(self, key: str) -> dict[str, tuple[str | None, datetime]]:
        """Return what changes when any object of a group or array does; what is beside a volume is not of it."""
        beside, described = (self._at(key, "features", ""), self._at(key, CANDIDATES, "")), self._at(key, FACTS)
        found = {meta["path"]: (meta["e_tag"], meta["last_modified"]) for meta in self._list(key)}
        if described not in found:
            raise FileNotFoundError(described)
        return {path: version for path, version in found.items() if not path.startswith(beside)}

    def commit_volume(self, uid: str, objects: Objects) -> None:
        """Put the group of a series in place of an older one and its features.

        Of two writers of one series at once, each sees to it that every object is its own before it sets the marker.

        Raises
        ------
        ResourceError
            If the storage does not answer, or other writers of the series come in between again and again.
        """
        key = f"{SERIES}/{uid}"
        with storage_errors(self.name):
            for attempt in range(ATTEMPTS):
                if self._is_committed(uid, objects):
                    return
                self.remove(key)
                if self._is_all_there(key, self._put_all(key, objects)) and self._mark(uid):
                    return
                time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311
        raise ResourceError(
            f"{self.name}: series {uid} must have one writer at a time, got others each of {ATTEMPTS} times; run again"
        )

    def _mark(self, uid: str) -> bool:
        """Set the marker of a series; return False if another writer has set it already."""
        try:
            self._bucket.put(self._at(COMMITTED, uid), b"", mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _is_committed(self, uid: str, objects: Objects) -> bool:
        """Return whether another writer has committed the very same volume."""
        try:
            return self.facts(uid) == objects[FACTS]
        except FileNotFoundError:
            return False

    def _is_all_there(self, key: str, tags: Mapping[str, str | None]) -> bool:
        found = {meta["path"]: meta["e_tag"] for meta in self._list(key)}
        return all(path in found and tag in (None, found[path]) for path, tag in tags.items())

    def _put_all(self, key: str, objects: Objects) -> dict[str, str | None]:
        """Put objects side by side, the one that completes them last; return the ETag of each path."""

        def put(name: str) -> tuple[str, str | None]:
            path = self._at(key, name)
            return path, self._bucket.put(path, objects[name])["e_tag"]

        parts = [name for name in objects if name != FACTS]
        with ThreadPoolExecutor(min(len(parts), self._connections)) as pool:
            tags = dict(pool.map(put, parts))
        return dict([*tags.items(), put(FACTS)])

    def commit_features(self, uid: str, feature_id: str, objects: Objects) -> None:
        """Put features of a series in place of older ones."""
        self._commit_part(uid, f"features/{feature_id}", objects)

    def commit_candidates(self, uid: str, objects: Objects) -> None:
        """Put candidates of a series in place of older ones."""
        self._commit_part(uid, CANDIDATES, objects)

    def _commit_part(self, uid: str, name: str, objects: Objects) -> None:
        key = f"{SERIES}/{uid}/{name}"
        with self._reading(f"{SERIES}/{uid}"):
            self._bucket.delete(self._at(key, FACTS))
            self._put_all(key, objects)

    def remove(self, key: str) -> None:
        """Hide a group or array from readers, then delete it."""
        with storage_errors(self.name):
            if key.count("/") == 1:
                self._bucket.delete(self._at(COMMITTED, _last(key)))
            paths = [meta["path"] for meta in self._list(key)]
            if (described := self._at(key, FACTS)) in paths:
                self._bucket.delete(described)
            if paths:
                self._bucket.delete(paths)

    def recount(self) -> None:
        """Do nothing: to list every object of a bucket would take minutes."""

    def sweep(self) -> Swept:
        """Remove groups without a marker that nobody has written to for an hour."""
        found, markers = self._folders(SERIES), set(self.series_uids())
        unfinished = [uid for uid in found if is_uid(uid) and uid not in markers]
        abandoned = [uid for uid in unfinished if self._is_abandoned(uid)]
        for uid in abandoned:
            self.remove(f"{SERIES}/{uid}")
        strangers = sum(not is_uid(name) for name in found)
        return Swept(removed=len(abandoned), in_work=len(unfinished) - len(abandoned), unknown=strangers)

    def _is_abandoned(self, uid: str) -> bool:
        with storage_errors(self.name):
            newest = max((meta["last_modified"] for meta in self._list(f"{SERIES}/{uid}")), default=None)
        return newest is not None and datetime.now(UTC) - newest > ABANDONED_AFTER

    def _get(self, key: str) -> bytes:
        with storage_errors(self.name):
            return bytes(self._bucket.get(self._at(key)).bytes())

    def _has(self, key: str) -> bool:
        try:
            self._bucket.head(self._at(key))
        except FileNotFoundError:
            return False
        return True

    def _paths(self, key: str) -> Iterable[str]:
        with storage_errors(self.name):
            return [meta["path"] for meta in self._list(key)]

    def _list(self, key: str) -> Iterator[ObjectMeta]:
        for page in self._bucket.list(self._at(key)):
            yield from page

    def _folders(self, key: str) -> list[str]:
        with storage_errors(self.name):
            return sorted(map(_last, self._bucket.list_with_delimiter(self._at(key))["common_prefixes"]))

    def _at(self, *keys: str) -> str:
        return "/".join((self._prefix, *keys)) if self._prefix else "/".join(keys)


def _last(key: str) -> str:
    return key.rpartition("/")[2]
