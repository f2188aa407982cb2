"""From the name of a store's place to the place."""

from __future__ import annotations

from pathlib import Path

from lidcflow.config import Access
from lidcflow.objects import is_object_url
from lidcflow.store.buckets import BucketPlace
from lidcflow.store.folders import FolderPlace
from lidcflow.store.place import Place


def place_of(root: str | Path, access: Access) -> Place:
    """Return the folder or the bucket's prefix that a store lies in."""
    if is_object_url(str(root)):
        return BucketPlace(str(root), access)
    return FolderPlace(Path(root))


def bucket_guard(root: str, access: str) -> bytes:
    """Return the file that makes a bucket's prefix a store.

    Parameters
    ----------
    root : str
        Such as ``s3://bucket/prefix``.
    access : str
        How buckets are reached: an `Access` as JSON, which needs no lidcflow where it is only handed on.

    Raises
    ------
    FileNotFoundError
        If there is no store.
    """
    return place_of(root, Access.model_validate_json(access)).guard()


def is_store(root: str | Path, access: Access | None = None) -> bool:
    """Tell whether there is a store."""
    try:
        place_of(root, access or Access()).guard()
    except FileNotFoundError:
        return False
    return True
