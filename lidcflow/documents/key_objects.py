"""The Key Object Selection document: a note in the PACS that leads to the images to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from lidcflow.documents.making import completed, making_of, observer_of
from lidcflow.documents.sentences import description
from lidcflow.documents.source_header import Source
from lidcflow.report.recommendation import Image, Recommendation

MOST_IMAGES = 10
"""A note on some 50 images leads nowhere."""

References = dict[str, list[int]]
"""Frame numbers by SOPInstanceUID, in the order to look; no frames of an instance that is one image."""


_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""highdicom copies them, and warns of odd names by repeating them: they are filled in after it is done."""


def references_of(images: Iterable[Image]) -> References:
    """Name each instance once, with its frames in the order of the file.

    Parameters
    ----------
    images : iterable of SourceImage or Finding
        Images, or frames of multi-frame instances; of a finding its middle image.

    Examples
    --------
    >>> from lidcflow.report.recommendation import SourceImage
    >>> frames = [SourceImage(sop_instance_uid="1.2", instance_number=1, frame_number=n, z_mm=0.0) for n in (7, 6)]
    >>> references_of(frames)
    {'1.2': [6, 7]}
    """
    found: References = {}
    for image in images:
        frames = found.setdefault(image.sop_instance_uid, [])
        if image.frame_number is not None and image.frame_number not in frames:
            frames.append(image.frame_number)
    return {uid: sorted(frames) for uid, frames in found.items()}


def key_images(said: Recommendation, source: Source) -> References:
    """Refer to the images to look at, best first and at most ten.

    Parameters
    ----------
    said : Recommendation
        Of each finding the middle image counts; without findings the images of each range's peak, and with nothing
        above the threshold those of the five highest slices, the middle ones first. Not evaluated, one image names the
        series.
    source : Source
        The series.
    """
    return references_of(_first_images(_places(said))) or {source.sop_instance_uid: []}


def _places(said: Recommendation) -> list[Sequence[Image]]:
    """List the images of each place to look at, best place first."""
    if said.findings:
        return [[found] for found in said.findings]
    return [found.peak_source_images for found in said.ranges] or [one.source_images for one in said.highest_slices]


def _first_images(places: Sequence[Sequence[Image]]) -> list[Image]:
    """Choose `MOST_IMAGES` in turns, of each place the middle ones first, and keep the places together."""
    turns = chain.from_iterable(zip_longest(*(_from_the_middle(images) for images in places)))
    chosen = list(dict.fromkeys(_named(image) for image in turns if image is not None))[:MOST_IMAGES]
    return [image for images in places for image in images if _named(image) in chosen]


def _from_the_middle(images: Sequence[Image]) -> list[Image]:
    middle = (len(images) - 1) / 2
    return [images[i] for i in sorted(range(len(images)), key=lambda i: abs(i - middle))]


def _named(image: Image) -> tuple[str, int | None]:
    return image.sop_instance_uid, image.frame_number


def evidence_of(references: Iterable[str], source: Source) -> list[Dataset]:
    """Describe instances as highdicom needs them: their UIDs, and nothing about the patient.

    Parameters
    ----------
    references : iterable of str
        SOPInstanceUIDs.
    source : Source
        Their series.
    """
    return [_instance(uid, source) for uid in references]


def _instance(sop_instance_uid: str, source: Source) -> Dataset:
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = source.sop_class_uid, sop_instance_uid
    instance.StudyInstanceUID, instance.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
    for keyword in _EMPTY:
        setattr(instance, keyword, "")
    instance.Rows = instance.Columns = 1  # highdicom tells images by them
    return instance


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
