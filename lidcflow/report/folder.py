"""The folder of reports: what lies where, read without following a link out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from lidcflow.dicom.values import is_uid
from lidcflow.errors import StoreError
from lidcflow.report.page import DATA
from lidcflow.report.recommendation import Recommendation, Verdict

UNKNOWN_STUDY = "unknown-study"
"""Folder of the reports on series whose headers name no study."""


@dataclass(frozen=True, order=True)
class ReportKey:
    """The folder of one report: its study, or `UNKNOWN_STUDY`, and its series."""

    study: str
    series: str


def report_folder(root: Path, key: ReportKey) -> Path | None:
    """Return the folder of a report that is there; None for other names, and for links.

    Parameters
    ----------
    root : Path
        Folder of all reports.
    key : ReportKey
        As an address names it: anything.
    """
    if not (_is_study(key.study) and is_uid(key.series)):
        return None
    study = root / key.study
    folder = study / key.series
    return folder if _is_folder(study) and _is_folder(folder) else None


def report_keys(root: Path) -> Iterator[ReportKey]:
    """List the reports that are there, in no order."""
    for study in _folders(root):
        if _is_study(study.name):
            for series in _folders(study.path):
                if is_uid(series.name):
                    yield ReportKey(study.name, series.name)


def read_recommendation(root: Path, key: ReportKey) -> Recommendation | None:
    """Read the recommendation of a report; None where there is none.

    Raises
    ------
    StoreError
        If it can't be read, or is about another series.
    """
    folder = report_folder(root, key)
    text = None if folder is None else read_plain(folder / DATA)
    if text is None:
        return None
    try:
        said = Recommendation.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise unreadable(key, f"'{first['msg']}' at {'.'.join(map(str, first['loc'])) or 'its start'}") from None
    if said.series_instance_uid != key.series:
        raise unreadable(key, "that of another series")
    return said


def read_kind(root: Path, key: ReportKey) -> bool | None:
    """Return whether a report is about synthetic images; None without a report for which a volume was read.

    A series that was not evaluated may be of either kind: its images were not read.
    """
    folder = report_folder(root, key)
    text = None if folder is None else read_plain(folder / DATA)
    try:
        kind = None if text is None else _Kind.model_validate_json(text)
    except ValidationError:
        return None
    return None if kind is None or kind.verdict == "not-evaluated" else kind.synthetic


class _Kind(BaseModel):
    """The kind of images of a report: a part of a recommendation, read without the rest."""

    synthetic: bool
    verdict: Verdict


def read_plain(file: Path) -> bytes | None:
    """Read a file whole, unless it is absent, a link or no plain file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def unreadable(key: ReportKey, found: str) -> StoreError:
    """Return the error for a report that cannot be shown, with the remedy."""
    return StoreError(
        f"series {key.series}: {DATA} must be a whole recommendation of this series, got {found}; "
        "delete its folder and run lidcflow infer on its source again"
    )


def _is_study(name: str) -> bool:
    return name == UNKNOWN_STUDY or is_uid(name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _folders(path: Path | str) -> list[os.DirEntry[str]]:
    """List folders; one that goes away meanwhile has none."""
    with suppress(OSError), os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []
