"""Make the documents of a recommendation, as the bytes of their files.

Importing this module imports highdicom, which takes a second: documents that are made already are written and looked
for without it, in `lidcflow.documents.write`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from pydicom.dataset import Dataset

from lidcflow.config.service import DOCUMENTS, DocumentKind
from lidcflow.dicom.quiet import quiet
from lidcflow.documents.key_objects import key_objects
from lidcflow.documents.segmentation import segmentation
from lidcflow.documents.source_header import Source, document_source
from lidcflow.documents.structured_report import structured_report
from lidcflow.documents.write import KEY_OBJECTS, SEGMENTATION, STRUCTURED_REPORT
from lidcflow.report.recommendation import Recommendation


def made_documents(
    said: Recommendation, header: Dataset, *, created_ns: int, kinds: Collection[DocumentKind] = DOCUMENTS
) -> dict[str, bytes]:
    """Make the documents of a recommendation; the same recommendation gives the same bytes.

    Parameters
    ----------
    said : Recommendation
        The answer for one series.
    header : Dataset
        Of an image of that series, without pixels.
    created_ns : int
        When the recommendation was made, in ns since 1970.
    kinds : collection of "kos", "sr" and "seg"
        Which to make.

    Returns
    -------
    dict of str to bytes
        Of ``key-objects.dcm``, ``structured-report.dcm`` and ``segmentation.dcm`` those of the kinds; no segmentation
        where no finding has an outline.

    Raises
    ------
    DocumentError
        If the header lacks what documents need.
    """
    source = document_source(header, said)
    created = datetime.fromtimestamp(created_ns // 10**9, UTC)
    with quiet():
        made = {name: make(said, source, created) for kind, (name, make) in _MAKERS.items() if kind in kinds}
        return {name: _encoded(document) for name, document in made.items() if document is not None}


_MAKERS: Mapping[DocumentKind, tuple[str, Callable[[Recommendation, Source, datetime], Dataset | None]]] = {
    "kos": (KEY_OBJECTS, key_objects),
    "sr": (STRUCTURED_REPORT, structured_report),
    "seg": (SEGMENTATION, segmentation),
}


def _encoded(document: Dataset) -> bytes:
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
