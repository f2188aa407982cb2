"""The identity of the patient: copied from the header of a source image into the documents, and nowhere else."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

KEYWORDS = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
)
"""Elements of patient and study, all text."""

LONGEST_VALUE_BYTES = 1024
"""The longest that the standard allows of them, a name in three scripts, is below; longer ones are left empty."""


def copy_identity(header: Dataset, document: Dataset) -> None:
    """Copy patient and study as they are in a header, byte for byte, with the character set that they are in.

    A PACS files a document under the patient and study whose values are the same; correcting them would separate the
    document from its study.

    Parameters
    ----------
    header : Dataset
        Of a source image; elements decoded or not.
    document : Dataset
        Whose own texts are ASCII, which every character set holds.

    References
    ----------
    DICOM PS3.3 C.7.1.1 and C.7.2.1, Patient and General Study Module.
    """
    for keyword in KEYWORDS:
        tag = Tag(tag_for_keyword(keyword))
        element = header.get_item(tag)
        if isinstance(element, RawDataElement):
            element = _copied(element, dictionary_VR(tag))
        elif element is not None:
            element = _encodable(element, dictionary_VR(tag))
        if element is not None:
            document[tag] = element


def _copied(raw: RawDataElement, vr: str) -> RawDataElement | None:
    """Copy an undecoded value under the representation that the standard gives it, not that of the header."""
    value = raw.value.rstrip(b" \0") if isinstance(raw.value, bytes) else b""
    if len(value) > LONGEST_VALUE_BYTES or raw.VR == "SQ":
        return None
    value += b" " * (len(value) % 2)
    return RawDataElement(raw.tag, vr, len(value), value, 0, False, True)


def _encodable(element: DataElement, vr: str) -> DataElement | None:
    """Copy a decoded value, unless it is no text."""
    value: Any = element.value
    if element.VR == "SQ" or len(str(value)) > LONGEST_VALUE_BYTES:
        return None
    return DataElement(element.tag, vr, value)
