"""Detect replaced instances in a PACS: Orthanc names the file that holds each."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lidcflow.errors import PacsError, SourceError
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.feed import feed_of


def generations(pacs: Pacs, series_instance_uid: str) -> dict[str, str]:
    """Return a token for each instance of a series that changes when the PACS stores the instance again.

    DICOMweb has nothing that tells, and only a PACS with a feed of changes is asked.

    Parameters
    ----------
    pacs : Pacs
        The service.
    series_instance_uid : str
        Which series.

    Returns
    -------
    dict
        By SOPInstanceUID; empty where the PACS can't tell.
    """
    feed = feed_of(pacs)
    if feed is None:
        return {}
    root = feed.rpartition("/")[0]
    try:
        _, found = pacs.post(f"{root}/tools/lookup", series_instance_uid.encode(), "text/plain")
        listed = [pacs.get_json(f"{root}/series/{name}/instances")[0] for name in _names(found, "Series")]
    except (SourceError, PacsError):
        return {}
    return dict(pair for instances in listed for pair in _files(instances))


def generation_of(pacs: Pacs, series_instance_uid: str, instances: Collection[str]) -> str:
    """Return a digest that changes when an instance of a series is stored anew; empty if the PACS has none.

    Parameters
    ----------
    pacs : Pacs
        The service.
    series_instance_uid : str
        Which series.
    instances : collection of str
        SOPInstanceUIDs.
    """
    found = generations(pacs, series_instance_uid)
    if not found or not found.keys() >= set(instances):
        return ""
    return hashlib.sha256("\n".join(f"{uid} {found[uid]}" for uid in sorted(instances)).encode()).hexdigest()


def _names(found: Any, kind: str) -> list[str]:
    """Return Orthanc's own names of the resources of one kind in the answer to a lookup."""
    resources = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    names = [str(one.get("ID")) for one in resources if one.get("Type") == kind]
    return [name for name in names if name.replace("-", "").isalnum()]


def _files(instances: Any) -> Iterator[tuple[str, str]]:
    for one in instances if isinstance(instances, list) else []:
        tags = one.get("MainDicomTags") if isinstance(one, Mapping) else None
        uid = tags.get("SOPInstanceUID") if isinstance(tags, Mapping) else None
        if isinstance(uid, str) and isinstance(one.get("FileUuid"), str):
            yield uid, one["FileUuid"]
