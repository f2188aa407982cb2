"""The files of a folder tree, whatever its layout, and the first bytes of each."""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from lidcflow.config import Access
from lidcflow.errors import SourceError
from lidcflow.objects import settings_of
from lidcflow.source.bucket import fetch_range
from lidcflow.source.files import Listing, SourceFile
from lidcflow.source.location import InBucket, OnDisk, file_location
from lidcflow.source.shelf import Shelf
from lidcflow.source.versions import version_of

HEAD_BYTES = 16_384
"""Read at once: headers of CT take 2 to 10 KB, and one read costs a quarter less than many small ones."""


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
    shelf = Shelf()
    unlistable = 0
    for entries in _folders(str(root.absolute())):
        if entries is None:
            unlistable += 1
        else:
            _shelve(entries, shelf)
    return Listing(str(root), shelf.files(), unlistable)


def _shelve(entries: list[os.DirEntry[str]], shelf: Shelf) -> None:
    """Shelve the files of a folder, divided where the files of folders in it belong."""
    files = sorted(_regular_files(entries))
    paths = [file.path for file in files]
    ends = sorted({bisect_left(paths, f"{entry.path}/") for entry in entries if _is_folder(entry)})
    for start, stop in pairwise([0, *ends, len(files)]):
        shelf.add(files[start:stop], apart=bool(ends))


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


class Head(NamedTuple):
    """The start of a file, and its size."""

    content: bytes
    file_bytes: int


def file_heads(files: Sequence[SourceFile], access: Access) -> Iterator[Callable[[], Head]]:
    """Yield for each file a function that gives its head, or raises `OSError` for this one file.

    Parameters
    ----------
    files : sequence of SourceFile
        Files of the disk and objects, mixed as they come.
    access : Access
        How buckets are reached; `connections` of them are read at a time.
    """
    locations = (file_location(file.path) for file in files)
    if first := next((location for location in locations if isinstance(location, InBucket)), None):
        yield from _heads_ahead(files, settings_of(first.url, access).connections, access)
    else:
        yield from (partial(read_head, file.path) for file in files)


def read_head(path: str) -> Head:
    """Read the head of a file of the disk.

    Parameters
    ----------
    path : str
        A regular file.
    """
    with open(path, "rb", buffering=0) as file:
        return Head(file.read(HEAD_BYTES), file.seek(0, io.SEEK_END))


def _heads_ahead(files: Sequence[SourceFile], connections: int, access: Access) -> Iterator[Callable[[], Head]]:
    """Keep as many requests under way as there may be connections, and give the answers in order."""
    under_way: deque[Future[Head]] = deque()
    with ThreadPoolExecutor(connections) as pool:
        try:
            for file in files:
                under_way.append(pool.submit(_head, file, access))
                if len(under_way) > connections:
                    yield under_way.popleft().result
            while under_way:
                yield under_way.popleft().result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _head(file: SourceFile, access: Access) -> Head:
    if isinstance(file_location(file.path), OnDisk):
        return read_head(file.path)
    fetched = fetch_range(file.path, 0, HEAD_BYTES, access)
    return Head(fetched.content, fetched.size_bytes)
