"""Write documents: each whole or not at all, for their owner alone, since they say whose study it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lidcflow.dicom.records import PASSED_OVER
from lidcflow.files import write_together
from lidcflow.report.recommendation import Recommendation

KEY_OBJECTS, STRUCTURED_REPORT, SEGMENTATION = "key-objects.dcm", "structured-report.dcm", "segmentation.dcm"


def gets_documents(said: Recommendation) -> bool:
    """Return whether documents are made of an answer: those on what is no CT volume at all stay in the reports.

    A study holds localizers, dose reports and these documents: notes on each would bury those on its CT.
    """
    return said.reason is None or said.reason.code not in PASSED_OVER


def write_documents(made: Mapping[str, bytes], folder: Path, *, created_ns: int) -> None:
    """Write documents; those of an earlier reading are replaced.

    Parameters
    ----------
    made : mapping of str to bytes
        From `lidcflow.documents.encode.made_documents`.
    folder : Path
        Made if need be, for its owner alone.
    created_ns : int
        When the recommendation was made, in ns since 1970; the files get this time.
    """
    _make_private(folder)
    write_together(made, folder, private=True, mtime_ns=created_ns)


def are_written(folder: Path, *, created_ns: int) -> bool:
    """Return whether the documents of a recommendation made at this time are there."""
    try:
        return {(folder / name).stat().st_mtime_ns for name in (KEY_OBJECTS, STRUCTURED_REPORT)} == {created_ns}
    except FileNotFoundError:
        return False


def _make_private(folder: Path) -> None:
    """Make a folder and its parents, readable by their owner alone; existing ones stay as they are."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
