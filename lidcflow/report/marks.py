"""Readers' marks on recommendations: ``feedback.json`` beside the report, appended and never changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lidcflow.errors import FeedbackRefused, StoreError
from lidcflow.file_lock import locked_folder
from lidcflow.files import write_whole
from lidcflow.notice import STATEMENT
from lidcflow.report.folder import read_plain
from lidcflow.report.recommendation import Recommendation, SliceNumber, Verdict

FILE = "feedback.json"
SCHEMA_ID: Literal["lidcflow.feedback/1"] = "lidcflow.feedback/1"
READER_CODE = "^[A-Z]{1,2}[0-9]{1,3}$"
"""Too short for a name: who is behind a code is known to those who gave it."""

Judged = Literal["right", "wrong"]
Added = Literal["nodule", "benign", "malignant"]
Reader = Annotated[str, Field(pattern=READER_CODE, description="code of a reader, such as R1; never a name")]


class _Part(BaseModel):
    """Immutable; refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MarkKind(_Part):
    """A reader's mark on a page: on a range, on a slice, or the withdrawal of an earlier mark."""

    reader: Reader
    says: Judged | Added | Literal["undone"]
    first_slice: SliceNumber
    last_slice: SliceNumber
    undoes: int | None = Field(None, description="number of the mark to take back; only with undone")
    version: int = Field(ge=1, description="version of the release whose reading the page shows")
    volume_digest: str = Field(description="of the volume that the page shows")


class Mark(_Part):
    """One entry of the history; with the reading that it is about, which a later release may replace."""

    number: int = Field(ge=1, description="1 for the first mark of the series")
    time: datetime
    reader: Reader
    says: Judged | Added | Literal["undone"]
    first_slice: SliceNumber
    last_slice: SliceNumber
    in_range: bool = Field(description="whether a recommended range has a slice of it")
    undoes: int | None = Field(None, description="number of the mark that is taken back; only with undone")
    release: str
    version: int
    verdict: Verdict
    volume_digest: str

    @property
    def judges(self) -> bool:
        """Whether it is about a range."""
        return self.says in ("right", "wrong")


class Feedback(_Part):
    """The content of ``feedback.json``."""

    schema_id: Literal["lidcflow.feedback/1"] = SCHEMA_ID
    statement: Literal["Research use only, not for diagnosis."] = STATEMENT
    study_instance_uid: str | None
    series_instance_uid: str
    marks: tuple[Mark, ...] = ()


def marks_in_force(marks: Iterable[Mark]) -> list[Mark]:
    """Return the marks in force at the end of a history: a repeated mark replaces, an undone mark is gone.

    A reader has one judgement of each range and one class for each added slice, in each reading.
    """
    held: dict[tuple[object, ...], Mark] = {}
    for mark in marks:
        if mark.says == "undone":
            held = {about: other for about, other in held.items() if other.number != mark.undoes}
        else:
            held[_about(mark)] = mark
    return list(held.values())


def read_feedback(folder: Path) -> tuple[Mark, ...]:
    """Return the history of a report, oldest first; one that can't be read has none, see `add_mark`."""
    try:
        return _read(folder)
    except StoreError:
        return ()


def add_mark(folder: Path, said: Recommendation, saying: MarkKind, time: datetime) -> tuple[Mark, ...]:
    """Append a reader's mark to the history of a report.

    Parameters
    ----------
    folder : Path
        Of the report.
    said : Recommendation
        What lies there.
    saying : MarkKind
        What the reader says of it.
    time : datetime
        Of the mark, with its zone.

    Returns
    -------
    tuple of Mark
        The whole history, oldest first.

    Raises
    ------
    FeedbackRefused
        If it does not fit the reading.
    StoreError
        If the file that is there can't be read: nothing is written over it.
    """
    with locked_folder(folder):
        marks = _read(folder)
        mark = _marked(said, saying, marks, time)
        feedback = Feedback(
            study_instance_uid=said.study_instance_uid,
            series_instance_uid=said.series_instance_uid,
            marks=(*marks, mark),
        )
        write_whole(folder / FILE, feedback.model_dump_json(indent=2) + "\n")
    return feedback.marks


def about_recommendation(marks: Iterable[Mark], said: Recommendation) -> list[Mark]:
    """Keep the marks about exactly this reading: its release and its volume."""
    return [mark for mark in marks if _reading(mark) == _reading_of(said)]


def _marked(said: Recommendation, saying: MarkKind, marks: tuple[Mark, ...], time: datetime) -> Mark:
    where = f"series {said.series_instance_uid}"
    if (said.release.version, _digest(said)) != (saying.version, saying.volume_digest):
        raise FeedbackRefused(
            f"{where}: a mark must be about the reading in force, got one of another; reload the page"
        )
    if saying.says == "undone":
        _check_undone(saying, about_recommendation(marks, said), where)
    else:
        _check_slices(said, saying, where)
    return Mark(
        number=len(marks) + 1,
        time=time,
        reader=saying.reader,
        says=saying.says,
        first_slice=saying.first_slice,
        last_slice=saying.last_slice,
        in_range=_in_range(said, saying),
        undoes=saying.undoes,
        release=said.release.name,
        version=said.release.version,
        verdict=said.verdict,
        volume_digest=_digest(said),
    )


def _check_slices(said: Recommendation, saying: MarkKind, where: str) -> None:
    slices = (saying.first_slice, saying.last_slice)
    if saying.undoes is not None:
        raise FeedbackRefused(f"{where}: only an undone mark may name another one, got '{saying.says}'")
    if saying.says in ("right", "wrong") and slices not in {(one.first_slice, one.last_slice) for one in said.ranges}:
        raise FeedbackRefused(f"{where}: a judgement must be about a recommended range, got slices {slices}")
    if saying.says in ("nodule", "benign", "malignant") and not slices[0] == slices[1] <= len(said.slices):
        raise FeedbackRefused(f"{where}: an added slice must be one of {len(said.slices)}, got slices {slices}")


def _in_range(said: Recommendation, saying: MarkKind) -> bool:
    return any(one.first_slice <= saying.last_slice and saying.first_slice <= one.last_slice for one in said.ranges)


def _check_undone(saying: MarkKind, marks: Iterable[Mark], where: str) -> None:
    about = (saying.undoes, saying.reader, saying.first_slice, saying.last_slice)
    if about not in {(one.number, one.reader, one.first_slice, one.last_slice) for one in marks_in_force(marks)}:
        raise FeedbackRefused(
            f"{where}: only a reader's own mark that counts can be undone, got another; reload the page"
        )


def _about(mark: Mark) -> tuple[object, ...]:
    return (*_reading(mark), mark.reader, mark.judges, mark.first_slice, mark.last_slice)


def _reading(mark: Mark) -> tuple[str, int, str]:
    return mark.release, mark.version, mark.volume_digest


def _reading_of(said: Recommendation) -> tuple[str, int, str]:
    return said.release.name, said.release.version, _digest(said)


def _digest(said: Recommendation) -> str:
    return said.volume.volume_digest if said.volume else ""


def _read(folder: Path) -> tuple[Mark, ...]:
    text = read_plain(folder / FILE)
    if text is None and not os.path.lexists(folder / FILE):
        return ()
    try:
        return Feedback.model_validate_json(text or b"").marks
    except ValidationError:
        raise StoreError(
            f"series {folder.name}: {FILE} must be a whole history of marks, got an unreadable one; "
            "repair it or move it away, nothing is written over it"
        ) from None
