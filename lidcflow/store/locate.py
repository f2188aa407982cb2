"""From the name of a store's place to the place."""

from __future__ import annotations

from pathlib import Path

from lidcflow.config import Access, PreprocessConfig
from lidcflow.objects import is_object_url
from lidcflow.store.buckets import BucketPlace
from lidcflow.store.configured import check
from lidcflow.store.folders import FolderPlace
from lidcflow.store.place import StorePlace


def store_place(root: str | Path, access: Access) -> StorePlace:
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
    return store_place(root, Access.model_validate_json(access)).guard()


def is_store(root: str | Path, access: Access | None = None) -> bool:
    """Return whether there is a store."""
    try:
        store_place(root, access or Access()).guard()
    except FileNotFoundError:
        return False
    return True


def committed_series(root: str | Path, config: PreprocessConfig, access: Access | None = None) -> list[str]:
    """List the committed series of a store, as `VolumeStore` does, without Zarr.

    Raises
    ------
    StoreMismatch
        If the store was written with another configuration.
    StoreError
        If there is no store.
    """
    place = store_place(root, access or Access())
    check(place, config)
    return place.series_uids()
