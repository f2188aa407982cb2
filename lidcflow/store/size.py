"""The size of a store in a folder: added up once, then kept in step by every change.

The counter is a small file in the store's folder. A change empties it first and then writes the new numbers, so that it
holds none after a writer was killed in the middle of a change: then the files are added up again.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lidcflow.dicom.values import is_uid
from lidcflow.file_lock import locked_folder
from lidcflow.store.place import FACTS, SERIES

COUNTER = ".size.json"
UNDER_WAY = ""
"""Content of the counter while the store is changed."""


class Counted(NamedTuple):
    """Contents of a counter: series, and the bytes of their files."""

    series: int
    size_bytes: int


class StoreSize:
    """The counter of a store.

    Parameters
    ----------
    root : Path
        Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / COUNTER

    @property
    def is_kept(self) -> bool:
        """Whether there is a counter, right or wrong."""
        return self._file.exists()

    @contextmanager
    def changing(self, path: Path, new_bytes: int) -> Iterator[None]:
        """Count a change of one file or folder, which the block makes.

        Parameters
        ----------
        path : Path
            Group of a series, or what is in one.
        new_bytes : int
            Bytes that lie there afterwards.
        """
        if not self.is_kept:
            yield
            self._forget()  # somebody may have begun to add up meanwhile
            return
        with self._locked() as held:
            counted = self._read() if held else None
            was_series, old_bytes = _is_series(path), tree_bytes(path)
            self._write(UNDER_WAY)
            yield
            if counted:
                series = counted.series + _is_series(path) - was_series
                self._keep(Counted(series, counted.size_bytes + new_bytes - old_bytes))

    def size_bytes(self, series: int) -> int:
        """Return the size of all files of the store.

        Parameters
        ----------
        series : int
            Committed series: where the counter has another number, something else than this class changed the store.
        """
        with self._locked() as held:
            counted = self._read() if held else None
        if counted is None or counted.series != series:
            counted = self.recount()
        return counted.size_bytes + self._beside_bytes()

    def recount(self) -> Counted:
        """Add up the files of all series; the sums are kept unless the store changed meanwhile, or can't be written."""
        token = secrets.token_hex(8)
        with self._locked() as held:
            if held:
                self._write(token)
        groups = [entry for entry in _entries(self._root / SERIES) if entry.is_dir(follow_symlinks=False)]
        counted = Counted(
            sum(is_uid(entry.name) for entry in groups), sum(tree_bytes(Path(entry.path)) for entry in groups)
        )
        with self._locked() as held:
            if held and self._content() == token:
                self._keep(counted)
        return counted

    def _beside_bytes(self) -> int:
        """Add up what is not of a series: guard, descriptions above the series, drafts."""
        others = [entry for entry in _entries(self._root) if entry.name not in (SERIES, COUNTER)]
        return sum(tree_bytes(Path(entry.path)) for entry in others) + tree_bytes(self._root / SERIES / FACTS)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the store's folder, and yield whether that worked: a file system may have no locks (NFS)."""
        with ExitStack() as stack:
            held = True
            try:
                stack.enter_context(locked_folder(self._root))
            except OSError:
                held = False
            yield held

    def _read(self) -> Counted | None:
        try:
            return Counted(*map(int, json.loads(self._content() or "null").values()))
        except (ValueError, TypeError, AttributeError):
            return None

    def _content(self) -> str | None:
        try:
            return self._file.read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def _keep(self, counted: Counted) -> None:
        self._write(json.dumps(counted._asdict()))

    def _write(self, content: str) -> None:
        with suppress(OSError):  # a store that may only be read, or a full disk: it is added up each time
            self._file.write_text(content)

    def _forget(self) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def tree_bytes(path: Path) -> int:
    """Add up the files of a folder, or return the size of a file; what is not there has none.

    Examples
    --------
    >>> tree_bytes(Path("/nowhere"))
    0
    """
    waiting, size_bytes = [path], 0
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        size_bytes += entry.stat(follow_symlinks=False).st_size
        except NotADirectoryError:
            size_bytes += here.stat().st_size
        except FileNotFoundError:  # gone meanwhile
            continue
    return size_bytes


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_series(path: Path) -> bool:
    """Return whether a path is the group of a series, and there."""
    return path.parent.name == SERIES and is_uid(path.name) and path.is_dir()
