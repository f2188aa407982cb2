"""Whether the images of an answer are still there: asked right before documents are sent, and right after."""

from __future__ import annotations

from lidcflow.dicom.values import is_uid
from lidcflow.errors import PacsError, SourceError
from lidcflow.inbox.delivery import Delivery, Sighting, instance_set
from lidcflow.pacs.address import PacsPlace, PacsService
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import instance_uids, query_series


def seen_now(delivery: Delivery, origin: PacsService | None) -> Sighting | None:
    """Return what the PACS that a series came from holds of it now; no images when the series was deleted.

    Parameters
    ----------
    delivery : Delivery
        The series.
    origin : PacsService or None
        The PACS; none for a series from elsewhere.

    Returns
    -------
    Sighting or None
        None for a source that is no PACS.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    if origin is None or not is_uid(delivery.study_instance_uid):
        return None
    with Pacs(origin) as pacs:
        found = instance_uids(pacs, delivery.study_instance_uid, delivery.series_instance_uid)
    return Sighting(delivery.series_instance_uid, delivery.study_instance_uid, instance_set(found), len(found))


def is_held(target: PacsService | None, delivery: Delivery) -> bool | None:
    """Return whether a target holds images of a series; None if it can't be asked, or is no PACS.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    if target is None or not is_uid(delivery.study_instance_uid):
        return None
    try:
        with Pacs(target) as pacs:
            return bool(
                query_series(pacs, PacsPlace(target, delivery.study_instance_uid, delivery.series_instance_uid))
            )
    except SourceError:  # it takes deliveries, and answers no queries
        return None


def holds_others_of_study(target: PacsService, delivery: Delivery) -> bool:
    """Return whether a PACS holds other image series of the study: then the answer's own series was deleted there.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    with Pacs(target) as pacs:
        found = query_series(pacs, PacsPlace(target, delivery.study_instance_uid))
    return any(one.series_instance_uid != delivery.series_instance_uid for one in found)


def is_same_service(one: PacsService | None, other: PacsService | None) -> bool:
    """Return whether a source and a target are one PACS."""
    return one is not None and other is not None and one.url == other.url


def still_held(target: PacsService | None, delivery: Delivery) -> bool:
    """Return whether a target still holds the images after documents were sent.

    A service that does not answer counts as one that still holds them: what it took, it took.
    """
    try:
        return is_held(target, delivery) is not False
    except PacsError:
        return True
