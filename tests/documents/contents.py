"""What documents hold, item by item."""

from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT

FILES = (KEY_OBJECTS, STRUCTURED_REPORT)
IDENTITY = {
    "PatientName": "Lovelace^Ada",
    "PatientBirthDate": "18151210",
    "PatientSex": "F",
    "AccessionNumber": "A17",
    "StudyDate": "20251120",
    "StudyTime": "101112",
    "StudyID": "7",
    "ReferringPhysicianName": "Babbage^Charles",
}


def items(document, value_type):
    """List the content items of a type, in the order of the document."""
    found = []
    for item in document.get("ContentSequence", []):
        found += [item] if item.ValueType == value_type else []
        found += items(item, value_type)
    return found


def referred(document):
    """List SOPInstanceUID and frames of each image that the content refers to."""
    references = [item.ReferencedSOPSequence[0] for item in items(document, "IMAGE")]
    return [(one.ReferencedSOPInstanceUID, one.get("ReferencedFrameNumber")) for one in references]


def meaning(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def text_of(document, name):
    """Return the first text of a name."""
    return next(item.TextValue for item in items(document, "TEXT") if meaning(item) == name)
