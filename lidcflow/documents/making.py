"""Common parts of documents: equipment, observer, UIDs, times, and the patient and study of the source."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from lidcflow.documents.identity import copy_identity
from lidcflow.documents.sentences import series_description
from lidcflow.documents.source_header import Source, local_time
from lidcflow.documents.uids import Kind, device_uid, instance_uid, series_uid
from lidcflow.report.recommendation import Recommendation

PRODUCT = "lidcflow"
SERIES_NUMBERS: dict[Kind, int] = {"key-objects": 1, "structured-report": 2, "segmentation": 3}
HIGHEST_SERIES_NUMBER = 999_999
"""Highest SeriesNumber from which those of documents are derived: a thousand times it fits an integer string."""


def making_of(said: Recommendation, source: Source, kind: Kind) -> dict[str, Any]:
    """Return who makes a document and which series it makes, as highdicom's keyword arguments."""
    return {
        "series_instance_uid": series_uid(said, kind),
        "series_number": _series_number(source, kind),
        "sop_instance_uid": instance_uid(said, kind),
        "instance_number": 1,
        "series_description": series_description(said, source.series_number),
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": (said.generated_by.version, release_words(said)),
    }


def observer_of(said: Recommendation) -> Any:
    """Name the observer: the release that read the series, a device.

    References
    ----------
    DICOM PS3.16 TID 1004.
    """
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(said), name=PRODUCT, manufacturer_name=PRODUCT, model_name=release_words(said)
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def release_words(said: Recommendation) -> str:
    """Name the release that read the series."""
    return f"release {said.release.name} version {said.release.version}"


def completed(document: Dataset, source: Source, created: datetime) -> Dataset:
    """Set a document's times, and copy the patient and study of its source."""
    moment = local_time(created, source.header)
    document.InstanceCreationDate = document.ContentDate = document.SeriesDate = moment.strftime("%Y%m%d")
    document.InstanceCreationTime = document.ContentTime = document.SeriesTime = moment.strftime("%H%M%S")
    for equipment in document.ContributingEquipmentSequence:  # highdicom adds itself, at the present time
        equipment.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
    copy_identity(source.header, document)
    return document


def _series_number(source: Source, kind: Kind) -> int:
    """Number a document's series after its source, so that lists show them apart."""
    number = source.series_number or 0
    return 1000 * (number if 0 < number <= HIGHEST_SERIES_NUMBER else 9) + SERIES_NUMBERS[kind]
