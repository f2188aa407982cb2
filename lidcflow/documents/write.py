"""Write documents: each whole or not at all, for their owner alone, since they say whose study it is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydicom.dataset import Dataset

from lidcflow.dicom.records import PASSED_OVER
from lidcflow.dicom.values import quiet
from lidcflow.documents.key_objects import key_objects
from lidcflow.documents.source import source_of
from lidcflow.documents.structured_report import structured_report
from lidcflow.files import write_together
from lidcflow.report.recommendation import Recommendation

KEY_OBJECTS, STRUCTURED_REPORT = "key-objects.dcm", "structured-report.dcm"


def gets_documents(said: Recommendation) -> bool:
    """Tell whether documents are made of an answer: those on what is no CT volume at all stay in the reports.

    A study holds localizers, dose reports and these documents: notes on each would bury those on its CT.
    """
    return said.reason is None or said.reason.code not in PASSED_OVER


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
    source = source_of(header, said)
    created = datetime.fromtimestamp(created_ns // 10**9, UTC)
    with quiet():
        return {
            KEY_OBJECTS: _encoded(key_objects(said, source, created)),
            STRUCTURED_REPORT: _encoded(structured_report(said, source, created)),
        }


def write_documents(made: Mapping[str, bytes], folder: Path, *, created_ns: int) -> None:
    """Write documents; those of an earlier reading are replaced.

    Parameters
    ----------
    made : mapping of str to bytes
        From `made_documents`.
    folder : Path
        Made if need be, for its owner alone.
    created_ns : int
        When the recommendation was made, in ns since 1970; the files get this time.
    """
    _make_private(folder)
    write_together(made, folder, private=True, mtime_ns=created_ns)


def are_written(folder: Path, *, created_ns: int) -> bool:
    """Tell whether the documents of a recommendation made at this time are there."""
    try:
        return {(folder / name).stat().st_mtime_ns for name in (KEY_OBJECTS, STRUCTURED_REPORT)} == {created_ns}
    except FileNotFoundError:
        return False


def _make_private(folder: Path) -> None:
    """Make a folder and those above it, for their owner alone; those that are there stay as they are."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _encoded(document: Dataset) -> bytes:
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
