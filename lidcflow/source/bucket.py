"""The objects under a prefix of a bucket, and ranges of their bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from obstore.exceptions import BaseError

from lidcflow.config import Access
from lidcflow.objects import IDC, bucket_of, object_version, split_url, storage_errors
from lidcflow.source.files import Listing, SourceFile
from lidcflow.source.shelf import Shelf

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000
"""Objects that S3 names in one answer."""


BUFFER_BYTES = 2**18
"""Fetched at once where a header is longer than its head."""

PROBE_RETRIES, PROBE_TIMEOUT_S = 1, 10.0
"""Without a network this is found out within seconds, not after the patience that a long run deserves."""


def list_bucket(url: str, access: Access) -> Listing:
    """List the objects under an object URL, or the one object that it names.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` or ``idc://bucket/prefix``.
    access : Access
        How buckets are reached.

    Raises
    ------
    ResourceError
        If the storage does not answer, or refuses access.
    """
    shelf = Shelf()
    with storage_errors(f"source {url}"):
        for page in _pages(url, access):
            shelf.add(page)
    return Listing(url, shelf.files())


def _pages(url: str, access: Access) -> Iterator[list[SourceFile]]:
    """Yield what lies under a prefix, page by page."""
    bucket, key = bucket_of(url, access), split_url(url)[2]
    empty = True
    for page in bucket.list(key or None, chunk_size=PAGE):
        empty = empty and not page
        yield _files(page, url)
    if empty and key:
        with suppress(FileNotFoundError):
            yield _files([bucket.head(key)], url)


def _files(objects: Iterable[ObjectMeta], url: str) -> list[SourceFile]:
    """Return objects as files; markers of empty folders have no content and are left out."""
    scheme, name, _ = split_url(url)
    return [
        SourceFile(f"{scheme}://{name}/{item['path']}", item["size"], object_version(item))
        for item in objects
        if item["size"]
    ]


class Fetched(NamedTuple):
    """A range of an object, and what the object is now."""

    content: bytes
    size_bytes: int
    version: str


def fetch_range(url: str, start: int, stop: int, access: Access) -> Fetched:
    """Fetch a range of an object.

    Parameters
    ----------
    url : str
        Object URL.
    start, stop : int
        First byte, and the byte after the last; the end of the object ends the range too.
    access : Access
        How buckets are reached.

    Raises
    ------
    OSError
        If this object is gone or is not given, while its bucket answers.
    ResourceError
        If the storage does not answer, or refuses access.
    """
    bucket, key = bucket_of(url, access), split_url(url)[2]
    try:
        answer = bucket.get(key, options={"range": (start, stop)})
        return Fetched(_bounded(answer, stop - start), answer.meta["size"], object_version(answer.meta))
    except (BaseError, PermissionError) as error:
        check_answers(url, access)
        raise OSError(f"an object must be given, got {type(error).__name__}") from None


def _bounded(chunks: Iterable[Any], most_bytes: int) -> bytes:
    """Join what comes of a range.

    Raises
    ------
    OSError
        If the storage sends more than the range: it would be held in memory.
    """
    content = bytearray()
    for chunk in chunks:
        content += memoryview(chunk)
        if len(content) > most_bytes:
            raise OSError(f"a range of an object must have at most {most_bytes} bytes, got more")
    return bytes(content)


def check_answers(url: str, access: Access) -> None:
    """Try one request with short timeouts, to distinguish one bad object from unavailable storage.

    Parameters
    ----------
    url : str
        An object URL of the bucket.
    access : Access
        How buckets are reached.

    Raises
    ------
    ResourceError
        If the bucket does not answer, or refuses access.
    """
    scheme, name, key = split_url(url)
    with storage_errors(f"public archive, bucket {name}" if scheme == IDC else f"source {scheme}://{name}"):
        next(iter(bucket_of(url, _hasty(access)).list(key or None)), None)


def _hasty(access: Access) -> Access:
    patience = {"retries": PROBE_RETRIES, "timeout_s": PROBE_TIMEOUT_S}
    return Access(s3=access.s3.model_copy(update=patience), idc=access.idc.model_copy(update=patience))


class ObjectFile(io.RawIOBase):
    """An object as a file that can be read and sought.

    Parameters
    ----------
    url : str
        Object URL.
    size_bytes : int
        Its size.
    access : Access
        How buckets are reached.
    version : str
        As it was listed; another one is not read.
    """

    name = ""  # pydicom asks every buffered reader for it

    def __init__(self, url: str, size_bytes: int, access: Access, version: str = "") -> None:
        self._url = url
        self._size_bytes = size_bytes
        self._access = access
        self._version = version
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position without a request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fetch what fits into a buffer.

        Raises
        ------
        OSError
            If the object is gone, or is another one than was listed.
        """
        stop = min(self._at + len(buffer), self._size_bytes)
        if stop <= self._at:
            return 0
        content, _, version = fetch_range(self._url, self._at, stop, self._access)
        if self._version not in ("", version):
            raise OSError("an object must not change after it was listed, got another version")
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def open_object(url: str, size_bytes: int, access: Access, version: str = "") -> io.BufferedReader:
    """Open an object for reading a header that is longer than its head.

    Parameters
    ----------
    url : str
        Object URL.
    size_bytes : int
        Its size.
    access : Access
        How buckets are reached.
    version : str
        As it was listed; a read of another one raises `OSError`.
    """
    return io.BufferedReader(ObjectFile(url, size_bytes, access, version), BUFFER_BYTES)


class FileRange(io.BytesIO):
    """A range of a file that keeps the positions of the whole.

    Parameters
    ----------
    content : bytes
        The range.
    start : int
        Where it starts in the file.

    Examples
    --------
    >>> part = FileRange(b"def", 3)
    >>> part.seek(4), part.read()
    (4, b'ef')
    """

    def __init__(self, content: bytes, start: int) -> None:
        super().__init__(content)
        self._start = start

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position in the file.

        Raises
        ------
        ValueError
            If it lies before the range.
        """
        if whence == io.SEEK_SET:
            return super().seek(offset - self._start) + self._start
        return super().seek(offset, whence) + self._start

    def tell(self) -> int:
        """Return the position in the file."""
        return super().tell() + self._start
