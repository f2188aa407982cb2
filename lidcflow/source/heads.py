"""Read the head of every file: from a disk one after the other, from storage many at a time."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from lidcflow.config import Access
from lidcflow.objects import IDC, is_object_url
from lidcflow.source.files import SourceFile
from lidcflow.source.ranges import fetch

HEAD_BYTES = 16_384
"""Read at once: headers of CT take 2 to 10 KB, and one read costs a quarter less than many small ones."""


class Head(NamedTuple):
    """The start of a file, and its size."""

    content: bytes
    file_bytes: int


def heads(files: Sequence[SourceFile], access: Access) -> Iterator[Callable[[], Head]]:
    """Yield for each file a function that gives its head, or raises `OSError` for this one file.

    Parameters
    ----------
    files : sequence of SourceFile
        Files of the disk and objects, mixed as they come.
    access : Access
        How buckets are reached; `connections` of them are read at a time.
    """
    if any(is_object_url(file.path) for file in files):
        yield from _heads_ahead(files, access)
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


def _heads_ahead(files: Sequence[SourceFile], access: Access) -> Iterator[Callable[[], Head]]:
    """Keep as many requests under way as there may be connections, and give the answers in order."""
    connections = connections_of(files[0].path, access)
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


def connections_of(url: str, access: Access) -> int:
    """Return how many requests may be under way at a time."""
    return (access.idc if url.startswith(IDC) else access.s3).connections


def _head(file: SourceFile, access: Access) -> Head:
    if not is_object_url(file.path):
        return read_head(file.path)
    fetched = fetch(file.path, 0, HEAD_BYTES, access)
    return Head(fetched.content, fetched.size_bytes)
