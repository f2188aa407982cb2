"""Location of one image, parsed from the path in an index: on a disk, in a bucket, or in a PACS."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from lidcflow.config import Access
from lidcflow.objects import IDC, is_object_url, split_url
from lidcflow.pacs.address import is_pacs
from lidcflow.source.bucket import open_object


class OnDisk(NamedTuple):
    """A file of this machine, or of a file server."""

    path: str

    @property
    def never_changes(self) -> bool:
        """Return False: anybody may write another content to a file."""
        return False


class InBucket(NamedTuple):
    """An object, by its URL."""

    url: str

    @property
    def never_changes(self) -> bool:
        """Return whether the object is the public archive's, which never changes one."""
        return split_url(self.url)[0] == IDC


class InPacs(NamedTuple):
    """An instance of a PACS, by its address; `lidcflow.pixels.from_pacs` has how its pixels come."""

    url: str

    @property
    def never_changes(self) -> bool:
        """Return True: a corrected instance has a UID of its own (DICOM PS3.3 C.12.1)."""
        return True


def location_of(path: str) -> OnDisk | InBucket | InPacs:
    """Parse the path of an image.

    Parameters
    ----------
    path : str
        Absolute path, object URL, or address of an instance.

    Examples
    --------
    >>> location_of("idc://bucket/series/1.dcm").never_changes
    True
    """
    return InPacs(path) if is_pacs(path) else file_location(path)


def file_location(path: str) -> OnDisk | InBucket:
    """Parse the path of a file that was listed; the instances of a PACS are not listed as files.

    Examples
    --------
    >>> file_location("s3://bucket/1.dcm"), file_location("/archive/1.dcm")
    (InBucket(url='s3://bucket/1.dcm'), OnDisk(path='/archive/1.dcm'))
    """
    return InBucket(path) if is_object_url(path) else OnDisk(path)


def open_at(location: OnDisk | InBucket, access: Access, size_bytes: int, version: str = "") -> BinaryIO:
    """Open a file or an object for its header.

    Parameters
    ----------
    location : OnDisk or InBucket
        Where it lies.
    access : Access
        How buckets are reached.
    size_bytes : int
        Size of an object when it was listed.
    version : str
        Of an object when it was listed: a read of another one raises `OSError`. That of a file is the caller's to
        compare, once the file is open.

    Raises
    ------
    OSError
        If the file is gone or can't be read.
    """
    if isinstance(location, OnDisk):
        return open(location.path, "rb")
    return open_object(location.url, size_bytes, access, version)
