"""UIDs of documents: derived from what they are about, so that a repeat replaces and does not double."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid5

from lidcflow.report.recommendation import Recommendation

Kind = Literal["key-objects", "structured-report", "segmentation"]
NAMESPACE = UUID("08f0297e-c286-55c6-9b82-07f8213d0cf2")
"""Namespace of lidcflow's UUIDs; another one would change the UID of every document."""


def series_uid(said: Recommendation, kind: Kind) -> str:
    """Return the SeriesInstanceUID of a document: each kind has its own modality, and so its own series."""
    return _uid(kind, "series", *_subject(said))


def instance_uid(said: Recommendation, kind: Kind) -> str:
    """Return the SOPInstanceUID of a document.

    Parameters
    ----------
    said : Recommendation
        Series, images, their content and release decide: a release that reads the series anew adds documents of its
        own, and so do images that were repaired under their UIDs, since a PACS keeps the first document of a UID.
    kind : "key-objects", "structured-report" or "segmentation"
        Which document.
    """
    return _uid(kind, "instance", *_subject(said))


def tracking_uid(said: Recommendation, what: str) -> str:
    """Return the Tracking Unique Identifier of a range or slice, such as ``slices 23-27``."""
    return _uid("tracking", what, *_subject(said))


def dimension_uid(said: Recommendation) -> str:
    """Return the Dimension Organization UID of a segmentation."""
    return _uid("dimensions", *_subject(said))


def device_uid(said: Recommendation) -> str:
    """Return the UID of the observer: the release that read the series."""
    return _uid("device", *_release(said))


def _subject(said: Recommendation) -> tuple[str, ...]:
    content = (said.volume.volume_digest,) if said.volume else ()
    return said.series_instance_uid, *_release(said), *_images(said), *content


def _release(said: Recommendation) -> tuple[str, str]:
    return said.release.name, str(said.release.version)


def _images(said: Recommendation) -> list[str]:
    """Name the images that were read; none for a series that was not."""
    images = [image for one in said.slices for image in one.source_images]
    return sorted({f"{image.sop_instance_uid}/{image.frame_number or ''}" for image in images})


def _uid(*parts: str) -> str:
    """Make a UID of a name-based UUID.

    References
    ----------
    DICOM PS3.5 section B.2.
    """
    return f"2.25.{uuid5(NAMESPACE, chr(0).join(parts)).int}"
