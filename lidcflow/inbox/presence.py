"""Whether the images of an answer are still there: asked right before documents are sent, and right after."""

from __future__ import annotations

from lidcflow.config import Access
from lidcflow.dicom.values import is_uid
from lidcflow.errors import PacsError, SourceError
from lidcflow.inbox.delivery import Delivery, Sighting, instance_set
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import Place, is_pacs, place_of
from lidcflow.pacs.query import find_series, instance_uids


def seen_now(delivery: Delivery, access: Access) -> Sighting | None:
    """Return what the PACS that a series came from holds of it now; no images when the series was deleted.

    Returns
    -------
    Sighting or None
        None for a source that is no PACS.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    if not is_pacs(delivery.source) or not is_uid(delivery.study_instance_uid):
        return None
    with Pacs(place_of(delivery.source, access).service) as pacs:
        found = instance_uids(pacs, delivery.study_instance_uid, delivery.series_instance_uid)
    return Sighting(delivery.series_instance_uid, delivery.study_instance_uid, instance_set(found), len(found))


def is_held(target: str, delivery: Delivery, access: Access) -> bool | None:
    """Return whether a target holds images of a series; None if it can't be asked, or is no PACS.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    if not is_pacs(target) or not is_uid(delivery.study_instance_uid):
        return None
    service = place_of(target, access).service
    try:
        with Pacs(service) as pacs:
            return bool(find_series(pacs, Place(service, delivery.study_instance_uid, delivery.series_instance_uid)))
    except SourceError:  # it takes deliveries, and answers no queries
        return None


def holds_others_of_study(target: str, delivery: Delivery, access: Access) -> bool:
    """Return whether a PACS holds other image series of the study: then the answer's own series was deleted there.

    Raises
    ------
    PacsError
        If the PACS does not answer.
    """
    service = place_of(target, access).service
    with Pacs(service) as pacs:
        found = find_series(pacs, Place(service, delivery.study_instance_uid))
    return any(one.series_instance_uid != delivery.series_instance_uid for one in found)


def is_same_service(one: str, other: str, access: Access) -> bool:
    """Return whether a source and a target are one PACS."""
    if not (is_pacs(one) and is_pacs(other)):
        return False
    return place_of(one, access).service.url == place_of(other, access).service.url


def still_held(target: str, delivery: Delivery, access: Access) -> bool:
    """Return whether images that a target held are there after documents were sent; a service that is away says so."""
    try:
        return is_held(target, delivery, access) is not False
    except PacsError:  # what was taken is taken
        return True
