"""The files of a folder tree, whatever its layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lidcflow.errors import SourceError
from lidcflow.source.files import Listing, SourceFile
from lidcflow.source.versions import version_of


def list_folder(root: Path) -> Listing:
    """List the regular files under a folder; links are followed, and each folder is entered once.

    Parameters
    ----------
    root : Path
        An existing folder.

    Raises
    ------
    SourceError
        If it can't be listed itself: nothing in it would look like an empty folder.
    """
    check_listable(root)
    files: list[SourceFile] = []
    unlistable = 0
    for entries in _folders(str(root.absolute())):
        if entries is None:
            unlistable += 1
        else:
            files += _regular_files(entries)
    return Listing(str(root), tuple(sorted(files)), unlistable)


def check_listable(root: Path) -> None:
    """Raise if a folder can't be listed.

    Raises
    ------
    SourceError
        With what the system said.
    """
    try:
        with os.scandir(str(root)) as entries:
            next(entries, None)
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise SourceError(
            f"source {root}: must be a folder that can be read, got '{found}'; check its permissions, and that its "
            "disk is mounted"
        ) from None


def list_one_file(path: Path) -> Listing:
    """List a single file."""
    return Listing(str(path), (_source_file(str(path.absolute()), path.stat()),))


def _folders(root: str) -> Iterator[list[os.DirEntry[str]] | None]:
    """Yield the entries of every folder, None where they may not be listed; linked folders can form a loop."""
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop()
        try:
            place = Path(folder).stat()
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            with os.scandir(folder) as scanned:
                entries = list(scanned)
        except OSError:
            yield None
            continue
        # Sorted, so that of two ways to a linked folder it is always the same one that is taken.
        waiting += sorted((entry.path for entry in entries if _is_folder(entry)), reverse=True)
        yield entries


def _regular_files(entries: list[os.DirEntry[str]]) -> Iterator[SourceFile]:
    """Yield regular files: opening a pipe would wait for ever."""
    for entry in entries:
        try:
            if entry.is_file():
                yield _source_file(entry.path, entry.stat())
        except OSError:  # a link to itself, or a file that is gone by now
            continue


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _source_file(path: str, found: os.stat_result) -> SourceFile:
    return SourceFile(path, found.st_size, version_of(found))
