"""The log of erasures in the workspace: who, by keyed hash or UID, when, how much; one line of JSON each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lidcflow.erase.subject import Kind, Subject

FILE = "erasures.jsonl"


class Erased(BaseModel):
    """Counts of what an erasure deleted.

    Parameters
    ----------
    series : int
        Series of which anything was kept.
    volumes : int
        Groups in the stores, with their features.
    reports, header_files, catalog_rows : int
        Folders of answers; files in the cache of headers; rows.
    snapshots, arms : int
        Training sets that lost rows; results of experiments that were deleted.
    artifacts : int
        Files in MLflow that were deleted or lost rows.
    mentions : int
        Mentions in the histories of runs and in logs that were masked.
    releases : tuple of int
        Versions that were marked.
    models : tuple of str
        Registered models that learned from a training set with the data, by name and version. They stay.
    left : tuple of str
        What could not be deleted, for people to delete.
    """

    model_config = ConfigDict(frozen=True)

    series: int = 0
    volumes: int = 0
    reports: int = 0
    header_files: int = 0
    catalog_rows: int = 0
    snapshots: int = 0
    arms: int = 0
    artifacts: int = 0
    mentions: int = 0
    releases: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class LogEntry(BaseModel):
    """One line of the log: a finished erasure, or the lifting of one."""

    model_config = ConfigDict(frozen=True)

    erasure: str
    action: Literal["erased", "lifted"]
    kind: Kind
    key: str
    asked: datetime
    done: datetime
    deleted: Erased = Erased()

    @property
    def subject(self) -> Subject:
        """Whose data it is about."""
        return Subject(self.kind, self.key)


def append(workspace: Path, entry: LogEntry) -> None:
    """Write an entry unless it is there: an erasure that was cut short after this line is run again."""
    if any((known.erasure, known.action) == (entry.erasure, entry.action) for known in entries(workspace)):
        return
    file = workspace / FILE
    torn = file.exists() and not file.read_bytes().endswith((b"\n",)) and file.stat().st_size > 0
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"{chr(10) * torn}{entry.model_dump_json()}\n")
        stream.flush()
        os.fsync(stream.fileno())


def entries(workspace: Path) -> Iterator[LogEntry]:
    """Yield the entries of the log; a line that was cut short is skipped."""
    try:
        lines = (workspace / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield LogEntry.model_validate_json(line)
        except ValidationError:
            continue


def standing(workspace: Path) -> frozenset[Subject]:
    """Return whose erasures stand: those that were not lifted since."""
    subjects: set[Subject] = set()
    for entry in entries(workspace):
        if entry.action == "erased":
            subjects.add(entry.subject)
        else:
            subjects.discard(entry.subject)
    return frozenset(subjects)
