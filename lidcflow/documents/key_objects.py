"""The Key Object Selection document: a note in the PACS that leads to the images to look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from lidcflow.documents.making import completed, making_of, observer_of
from lidcflow.documents.references import References, evidence_of, key_images
from lidcflow.documents.sentences import description
from lidcflow.documents.source import Source
from lidcflow.read.recommendation import Recommendation


def key_objects(said: Recommendation, source: Source, created: datetime) -> Dataset:
    """Make the Key Object Selection document of a recommendation.

    Parameters
    ----------
    said : Recommendation
        The answer for one series.
    source : Source
        That series.
    created : datetime
        When the recommendation was made, aware of its time zone.

    Returns
    -------
    Dataset
        Titled ``Of Interest``; of a series that was not evaluated ``For Research``, for no image of it is of interest.

    References
    ----------
    DICOM PS3.3 A.35.4 and PS3.16 TID 2010, CID 7010.
    """
    from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
    from pydicom.sr.codedict import codes

    references = key_images(said, source)
    evidence = evidence_of(references, source)
    content = KeyObjectSelection(
        document_title=codes.DCM.ForResearch if said.verdict == "not-evaluated" else codes.DCM.OfInterest,
        referenced_objects=evidence,
        observer_device_context=observer_of(said),
        description=description(said),
    )
    _add_frames(content, references)
    document = KeyObjectSelectionDocument(evidence, content, **making_of(said, source, "key-objects"))
    return completed(document, source, created)


def _add_frames(content: Any, references: References) -> None:
    """Name the frames of multi-frame images, which highdicom leaves out of key objects."""
    for item in content[0].ContentSequence:
        if item.ValueType == "IMAGE":
            (reference,) = item.ReferencedSOPSequence
            if frames := references[reference.ReferencedSOPInstanceUID]:
                reference.ReferencedFrameNumber = frames
