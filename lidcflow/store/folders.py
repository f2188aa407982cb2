"""A store in a folder: groups are written aside and renamed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lidcflow.dicom.values import is_uid
from lidcflow.disk import naming_disk_faults, require_writable
from lidcflow.errors import ResourceError, StoreError
from lidcflow.files import write_new
from lidcflow.store.commit import committed, read_whole, remove, replace_file, require_space, sweep, sweep_file
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
from lidcflow.store.size import StoreSize

_DRAFT = re.compile(rf"\.({re.escape(GUARD)}|{re.escape(FACTS)})\.[0-9a-f]{{8}}")


@dataclass(frozen=True)
class HeldFolder:
    """A folder while it is read."""

    zarr: Any
    folder: Path

    def whole(self, name: str) -> bytes:
        """Return a file."""
        return (self.folder / name).read_bytes()

    def tail(self, name: str, n_bytes: int) -> bytes:
        """Return the end of a file."""
        size = (self.folder / name).stat().st_size
        return self.ranges(name, [(max(0, size - n_bytes), max(n_bytes, size))])[0]

    def ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file."""
        descriptor = os.open(self.folder / name, os.O_RDONLY)
        try:
            return [checked_length(os.pread(descriptor, end - start, start), end - start) for start, end in ranges]
        finally:
            os.close(descriptor)


class FolderPlace:
    """A folder of this machine or of a network file system.

    Parameters
    ----------
    root : Path
        Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._aside = root / ".incoming"
        self._size = StoreSize(root)

    @cached_property
    def _zarr(self) -> Any:
        """The folder as Zarr reads it."""
        return open_for_zarr(self._root)

    @property
    def zarr(self) -> Any:
        """Its root for Zarr to read."""
        return self._zarr

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"store {self._root}"

    def claim(self, guard: bytes) -> None:
        """Write the guard file into an empty store, complete the groups, and remove the drafts of writers that died.

        Raises
        ------
        StoreError
            If the folder holds something else.
        ResourceError
            If the folder can't be written, or the disk is full.
        """
        if not (self._root / GUARD).exists():
            with naming_disk_faults(self.name):
                self._root.mkdir(parents=True, exist_ok=True)
                self._require_empty()
                write_new(self._root / GUARD, guard)
        with suppress(OSError):  # an older store on a full or read-only disk still opens
            self._complete_groups()
        sweep(self._aside)

    def _complete_groups(self) -> None:
        """Write the descriptions of the groups above the series, the root's last."""
        if (self._root / FACTS).exists():
            return
        (self._root / SERIES).mkdir(exist_ok=True)
        write_new(self._root / SERIES / FACTS, GROUP)
        write_new(self._root / FACTS, GROUP)

    def _require_empty(self) -> None:
        foreign = any(not entry.name.startswith(".") for entry in self._root.iterdir())
        if foreign and not (self._root / GUARD).exists():
            raise StoreError(
                f"{self.name}: the folder must be empty or a store of lidcflow, got other files; "
                "choose another workspace"
            )

    def guard(self) -> bytes:
        """Return the guard file.

        Raises
        ------
        FileNotFoundError
            If there is no store yet.
        StoreError
            If something else lies in its place.
        """
        try:
            return (self._root / GUARD).read_bytes()
        except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
            raise StoreError(
                f"store {self._root}: must be a folder with the file {GUARD} in it, got '{error.strerror}'; "
                "move away what lies there, or name another store"
            ) from None

    def require_writable(self) -> None:
        """Raise if the folder cannot be written, before work starts."""
        require_writable(self._root, self.name, way_out="choose another workspace or store")

    def require_room(self, needed_bytes: int) -> None:
        """Refuse to start writing on a disk that will be full before the end."""
        require_space(self._root, needed_bytes)

    def series_uids(self) -> list[str]:
        """List the committed series, in order."""
        return [name for name in self._names(SERIES) if is_uid(name)]

    def feature_ids(self, uid: str) -> list[str]:
        """List the features of a series, in order."""
        return [name for name in self._names(f"{SERIES}/{uid}/features") if name != FACTS]

    def _names(self, key: str) -> list[str]:
        folder = self._root / key
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    @property
    def at_once(self) -> AtOnce:
        """Number of descriptions read in parallel: more than one, as they wait for a disk."""
        return AtOnce(readers=4, page=32)

    def facts(self, uid: str, *, listed: bool = False) -> bytes:  # noqa: ARG002  a folder is there or not
        """Return the description of a committed series' group."""
        return (self._root / SERIES / uid / FACTS).read_bytes()

    def committed_s(self, uid: str) -> float:
        """Return when the description of a committed series' group was written."""
        return (self._root / SERIES / uid / FACTS).stat().st_mtime

    def describe(self, uid: str, description: bytes) -> None:
        """Put a description in place of the older one, at once and whole."""
        file = self._root / SERIES / uid / FACTS
        with self._size.changing(file, len(description)):
            replace_file(file, description, self._aside)

    def read(self, key: str, read: Callable[[Held], Result]) -> Result:
        """Call `read` with the folder at `key`; repeat the call if the folder was replaced meanwhile."""
        held = HeldFolder(self._zarr / key, self._root / key)
        return read_whole(lambda: self._identity(key), lambda: read(held))

    def _identity(self, key: str) -> tuple[int, int]:
        found = (self._root / key / FACTS).stat()
        return found.st_ino, found.st_mtime_ns

    def commit_volume(self, uid: str, objects: Objects) -> None:
        """Put the group of a series in place of an older one and its features."""
        try:
            with naming_disk_faults(self.name):
                (self._root / SERIES).mkdir(exist_ok=True)
            self._commit(self._root / SERIES / uid, objects)
        except FileNotFoundError:
            raise ResourceError(f"{self.name}: must stay where it is while series are brought in; run again") from None

    def commit_features(self, uid: str, feature_id: str, objects: Objects) -> None:
        """Put features of a series in place of older ones."""
        self._commit(self._root / SERIES / uid / "features" / feature_id, objects)

    def commit_candidates(self, uid: str, objects: Objects) -> None:
        """Put candidates of a series in place of older ones."""
        self._commit(self._root / SERIES / uid / CANDIDATES, objects)

    def _commit(self, target: Path, objects: Objects) -> None:
        n_bytes = sum(map(len, objects.values()))
        with committed(target, self._aside, changing=lambda: self._size.changing(target, n_bytes)) as draft:
            for key, content in objects.items():
                file = draft / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)

    def remove(self, key: str) -> None:
        """Take a group or array out of sight, then delete it."""
        with self._size.changing(self._root / key, 0):
            remove(self._root / key, self._aside)

    def recount(self) -> None:
        """Add up the size of the store anew, if it was ever asked for."""
        if self._size.is_kept:
            self._size.recount()

    def sweep(self) -> Swept:
        """Remove the drafts of writers that died."""
        drafts = sweep(self._aside)
        folders = [folder for folder in (self._root, self._root / SERIES) if folder.is_dir()]
        files = [entry for folder in folders for entry in folder.iterdir() if _DRAFT.fullmatch(entry.name)]
        removed = drafts.removed + sum(map(sweep_file, files))
        strangers = sum(not is_uid(name) and name != FACTS for name in self._names(SERIES))
        return Swept(
            removed=removed,
            in_work=drafts.in_work,
            unknown=drafts.unknown + strangers,
        )
