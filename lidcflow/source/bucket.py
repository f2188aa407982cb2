"""The objects under a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from lidcflow.config import Access
from lidcflow.objects import bucket_of, object_version, reaching, split_url
from lidcflow.source.files import Listing, SourceFile

PAGE = 1000
"""Objects that S3 names in one answer."""


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
    with reaching(f"source {url}"):
        files = tuple(sorted(_objects(url, access)))
    return Listing(url, files)


def _objects(url: str, access: Access) -> Iterator[SourceFile]:
    """Yield what lies under a prefix; markers of empty folders have no content and are left out."""
    bucket = bucket_of(url, access)
    scheme, name, key = split_url(url)
    found = [item for page in bucket.list(key or None, chunk_size=PAGE) for item in page]
    if not found and key:
        try:
            found = [bucket.head(key)]
        except FileNotFoundError:
            return
    for item in found:
        if item["size"]:
            yield SourceFile(f"{scheme}://{name}/{item['path']}", item["size"], object_version(item))
