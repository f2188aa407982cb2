"""S3-like storage: one way to reach a bucket, for sources and for the store; the only module that makes clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from lidcflow.config import Access, ObjectsConfig
from lidcflow.errors import ResourceError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Config

S3, IDC = "s3", "idc"
"""Schemes of object URLs: storage of one's own, and the public buckets of the Imaging Data Commons."""


def is_object_url(place: str) -> bool:
    """Return whether a place lies in a bucket, not in a folder.

    Examples
    --------
    >>> is_object_url("s3://bucket/archive"), is_object_url("/data/archive")
    (True, False)
    """
    return place.startswith((f"{S3}://", f"{IDC}://"))


def split_url(url: str) -> tuple[str, str, str]:
    """Split an object URL into scheme, bucket and key.

    Raises
    ------
    ValueError
        If it names no bucket.

    Examples
    --------
    >>> split_url("s3://bucket/some/key")
    ('s3', 'bucket', 'some/key')
    """
    parts = urlsplit(url, allow_fragments=False)
    if parts.scheme not in (S3, IDC) or not parts.netloc:
        raise ValueError(f"an object URL must look like s3://bucket/key, got {url!r}")
    key = url.partition("://")[2].partition("/")[2]
    return parts.scheme, parts.netloc, key.strip("/")


def bucket_of(url: str, access: Access) -> S3Store:
    """Return the client of an object URL's bucket; it retries by itself, and one serves all threads of a process.

    Parameters
    ----------
    url : str
        ``s3://bucket/...`` or ``idc://bucket/...``.
    access : Access
        How buckets are reached.
    """
    return _client(split_url(url)[1], settings_of(url, access))


def settings_of(url: str, access: Access) -> ObjectsConfig:
    """Return how the bucket of an object URL is reached: the public archive's in a way of its own."""
    return access.idc if split_url(url)[0] == IDC else access.s3


def object_version(meta: ObjectMeta) -> str:
    """Return what changes with the content of an object: its ETag, else its time of modification."""
    return meta["e_tag"] or meta["last_modified"].isoformat()


@lru_cache(maxsize=32)
def _client(bucket: str, config: ObjectsConfig) -> S3Store:
    """Make a client; keys come from the environment or the machine's role, never from the configuration."""
    place: S3Config = {}
    if config.endpoint is not None:
        place["endpoint"] = config.endpoint
    if config.region is not None:
        place["region"] = config.region
    return S3Store(
        bucket,
        config=place,
        skip_signature=config.anonymous,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=config.timeout_s)},
        retry_config={
            "max_retries": config.retries,
            "retry_timeout": timedelta(seconds=config.timeout_s * (config.retries + 1)),
        },
    )


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Raise an error of one sentence if storage can't be reached; a missing object stays a `FileNotFoundError`.

    Parameters
    ----------
    place : str
        What the sentence names, such as ``"source s3://bucket/archive"``.

    Raises
    ------
    ResourceError
        If there is no answer, the storage refuses access, or there is no such bucket.
    """
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError, PermissionError):
        raise ResourceError(
            f"{place}: the storage must grant access, got a refusal; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or `anonymous` for a public bucket"
        ) from None
    except GenericError as error:
        if "NoSuchBucket" in str(error):
            raise ResourceError(f"{place}: the bucket must be there, got none; make it, or check its name") from None
        raise ResourceError(f"{place}: the storage must answer, got {_cause(error)}; {_WAY_OUT}") from None


_WAY_OUT = "check the network, the endpoint and the region, and run again: what is finished is kept"


def _cause(error: Exception) -> str:
    """Return a client's error in short: the status of the server, or that there was no answer."""
    text = str(error)
    for mark in ("status code: ", "status: "):
        if mark in text:
            return f"status {text.partition(mark)[2][:3]}"
    return "no connection" if "error sending request" in text else "a failed request"
