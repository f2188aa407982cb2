"""Make both documents of a recommendation, as the bytes of their files.

Importing this module imports highdicom, which takes a second: documents that are made already are written and looked
for without it, in `lidcflow.documents.write`.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime

from pydicom.dataset import Dataset

from lidcflow.dicom.quiet import quiet
from lidcflow.documents.key_objects import key_objects
from lidcflow.documents.source_header import document_source
from lidcflow.documents.structured_report import structured_report
from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT
from lidcflow.report.recommendation import Recommendation


def made_documents(said: Recommendation, header: Dataset, *, created_ns: int) -> dict[str, bytes]:
    """Make the documents of a recommendation; the same recommendation gives the same bytes.

    Parameters
    ----------
    said : Recommendation
        The answer for one series.
    header : Dataset
        Of an image of that series, without pixels.
    created_ns : int
        When the recommendation was made, in ns since 1970.

    Returns
    -------
    dict of str to bytes
        ``key-objects.dcm`` and ``structured-report.dcm``.

    Raises
    ------
    DocumentError
        If the header lacks what documents need.
    """
    source = document_source(header, said)
    created = datetime.fromtimestamp(created_ns // 10**9, UTC)
    with quiet():
        return {
            KEY_OBJECTS: _encoded(key_objects(said, source, created)),
            STRUCTURED_REPORT: _encoded(structured_report(said, source, created)),
        }


def _encoded(document: Dataset) -> bytes:
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
