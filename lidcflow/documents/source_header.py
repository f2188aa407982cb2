"""The header of a source image, read again when documents are written, and what they need of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from lidcflow.config import Access
from lidcflow.dicom.elements import Budget, parse_stream
from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import integer_of, is_uid, names_instance, text_of
from lidcflow.documents.identity import KEYWORDS
from lidcflow.errors import DocumentError, ResourceError
from lidcflow.pacs.address import parse_address, split_instance
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.retrieve import metadata
from lidcflow.report.recommendation import Recommendation
from lidcflow.source.files import SourceFile
from lidcflow.source.location import InBucket, InPacs, OnDisk, location_of, open_at
from lidcflow.source.versions import has_times_of

OWN_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Rows",
)
UTF_8 = "ISO_IR 192"
AMBIGUOUS = frozenset({VerdictReason.MIXED_IDENTITY, VerdictReason.BAD_UID})
PLANE_KEYWORDS = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient")
"""Header attributes that a segmentation needs; other documents do without."""

TAGS = sorted(tag_for_keyword(keyword) for keyword in (*KEYWORDS, *OWN_KEYWORDS, *PLANE_KEYWORDS))


@dataclass(frozen=True)
class Source:
    """The series that a document is about.

    Parameters
    ----------
    header : Dataset
        Of one of its images, for the patient and study that it holds; never printed.
    study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid : str
        Of that image; images of a series are of one class.
    series_number : int, optional
        What viewers show of the series.
    """

    header: Dataset
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    series_number: int | None


def check_one_subject(said: Recommendation) -> None:
    """Check that all headers of a series name one patient and study: one of them then speaks for all.

    Parameters
    ----------
    said : Recommendation
        What was said of the series.

    Raises
    ------
    DocumentError
        If they do not.
    """
    if said.study_instance_uid is None or (said.reason and said.reason.code in AMBIGUOUS):
        raise DocumentError(
            "headers must agree on one patient and study, got some that do not; part the images and read them again"
        )


def source_header(file: SourceFile | None, access: Access) -> Dataset:
    """Read the header of a source image, without its pixels.

    Parameters
    ----------
    file : SourceFile or None
        As it was listed: a file of this machine, an object, or an instance of a PACS; none where the source has none
        of the series.
    access : Access
        How buckets and services are reached.

    Returns
    -------
    Dataset
        Elements that documents need, undecoded.

    Raises
    ------
    DocumentError
        If it is gone or has changed, or is not DICOM.
    ResourceError
        If the storage of objects or the PACS does not answer.
    """
    if file is None:
        raise DocumentError("an image must be there when documents are written, got none; keep the source until then")
    try:
        location = location_of(file.path)
        if isinstance(location, InPacs):
            return _pacs_header(location.url, access)
        with quiet(), _opened(location, file, access) as stream:
            return Dataset(parse_stream(stream, TAGS, Budget()).elements)
    except (ResourceError, DocumentError):
        raise
    except Exception as error:  # a mutated file can make pydicom raise anything, and what it says may hold a name
        raise DocumentError(
            f"an image must be there when documents are written, got {type(error).__name__}; "
            "keep the source until then, and run again"
        ) from None


def document_source(header: Dataset, said: Recommendation) -> Source:
    """Take what documents need of a header, and check that it is of the series that was read.

    Parameters
    ----------
    header : Dataset
        Of an image of the series, without pixels.
    said : Recommendation
        What was said of the series.

    Raises
    ------
    DocumentError
        If it lacks a UID that a document needs, is not an image, or is of another series.
    """
    with quiet():
        uids = {keyword: text_of(header.get(keyword)) or "" for keyword in OWN_KEYWORDS if keyword.endswith("UID")}
        rows, number = integer_of(header.get("Rows")), integer_of(header.get("SeriesNumber"))
    _check_uids(uids)
    _check_series(uids, said)
    if not rows:
        raise DocumentError("the header must be an image's, got one without Rows; documents refer to images alone")
    return Source(
        header=header,
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        series_number=number,
    )


def local_time(moment: datetime, header: Dataset) -> datetime:
    """Express a moment in the time zone of a header, else of this machine.

    References
    ----------
    DICOM PS3.3 C.12.1, SOP Common Module: Timezone Offset From UTC holds for all dates and times of an instance.
    """
    with quiet():
        text = text_of(header.get("TimezoneOffsetFromUTC")) or ""
    try:
        return moment.astimezone(datetime.strptime(text, "%z").tzinfo)
    except ValueError:
        return moment.astimezone()


def _pacs_header(instance: str, access: Access) -> Dataset:
    """Take the elements that documents need of an instance's metadata; what is JSON there is UTF-8."""
    with Pacs(parse_address(split_instance(instance)[0], access).service) as pacs:
        item = metadata(pacs, instance)[0]
    wanted = {f"{tag:08X}" for tag in TAGS}
    header = Dataset.from_json({tag: element for tag, element in item.items() if tag in wanted})
    header.SpecificCharacterSet = UTF_8
    return header


def _opened(location: OnDisk | InBucket, file: SourceFile, access: Access) -> BinaryIO:
    stream = open_at(location, access, file.size_bytes, file.version)
    dated = isinstance(location, OnDisk) and file.version
    if dated and not has_times_of(os.fstat(stream.fileno()), file.version):
        stream.close()
        raise DocumentError(
            "an image must be as it was read when documents are written, got one that changed since; run again"
        )
    return stream


def _check_uids(uids: dict[str, str]) -> None:
    for keyword, uid in uids.items():
        if not (names_instance(uid) if keyword == "SOPInstanceUID" else is_uid(uid)):
            raise DocumentError(
                f"{keyword} must be a UID, got {'none' if not uid else f'{len(uid)} characters that are none'}; "
                "export the series again"
            )


def _check_series(uids: dict[str, str], said: Recommendation) -> None:
    if uids["SeriesInstanceUID"] != said.series_instance_uid or said.study_instance_uid not in (
        None,
        uids["StudyInstanceUID"],
    ):
        raise DocumentError(
            "the header must be of the series that was read, got one of another; "
            "leave the source as it is until documents are written, and run again"
        )
