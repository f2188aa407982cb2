"""Tombstones of erased subjects: keyed hashes and UIDs in the catalog that every index keeps out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import JSON, delete, make_url, select
from sqlalchemy.orm import Mapped, mapped_column

from lidcflow.catalog.database import Base, Tables, retry_while_unavailable, utc_now
from lidcflow.dicom.values import is_uid
from lidcflow.erase.found import Found, merge_found
from lidcflow.erase.subject import Kind, Subject, Target, merged
from lidcflow.errors import ErasureError


class TombstoneRow(Base):
    """A patient, study or series that is erased, or whose erasure has begun."""

    __tablename__ = "tombstones"

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    erasure: Mapped[str]
    asked: Mapped[datetime]
    done: Mapped[datetime | None]
    series: Mapped[list[str]]
    """UIDs to delete, while that is under way: a second try must know those whose rows are gone."""


@dataclass(frozen=True)
class Tombstone:
    """An erasure: whose, its own name, when it was asked for and done, what is to be deleted and what was found."""

    subject: Subject
    erasure: str
    asked: datetime
    done: datetime | None
    waiting: tuple[Target, ...]
    found: Found = field(default_factory=dict)


class FoundRow(Base):
    """Findings of an unfinished erasure, over all its attempts."""

    __tablename__ = "erasure_found"

    erasure: Mapped[str] = mapped_column(primary_key=True)
    found: Mapped[dict[str, Any]] = mapped_column(JSON)


class Tombstones(Tables):
    """The table of tombstones behind the catalog's URL.

    Parameters
    ----------
    url : str
        As `lidcflow.catalog.series.Catalog` takes it.

    Raises
    ------
    StoreError
        If the database can't be opened, or another version of lidcflow made it.

    Examples
    --------
    >>> with Tombstones("sqlite://") as tombstones:
    ...     tombstones.begin(Subject("series", "1.2.3"), []).done is None
    True
    """

    @retry_while_unavailable
    def begin(self, subject: Subject, targets: Iterable[Target], found: Found | None = None) -> Tombstone:
        """Keep a subject out from now on, and note what is to be deleted; a begun erasure goes on.

        What was found is noted before it is deleted, so that a try that is cut short is counted too.
        """
        with self._database.session() as session:
            row = session.get(TombstoneRow, (subject.kind, subject.key))
            if row is None or row.done is not None:
                row = row or TombstoneRow(kind=subject.kind, key=subject.key, series=[])
                row.erasure, row.asked, row.done = secrets.token_hex(4), utc_now(), None
                session.add(row)
            row.series = [_text(target) for target in merged([*map(_target, row.series), *targets])]
            beside = session.get(FoundRow, row.erasure) or FoundRow(erasure=row.erasure, found={})
            beside.found = merge_found(beside.found, found or {})
            session.add(beside)
            return _tombstone(row, beside)

    @retry_while_unavailable
    def finish(self, subject: Subject) -> Tombstone:
        """Note that nothing is left to delete; the tombstone stays."""
        with self._database.session() as session:
            row = session.get_one(TombstoneRow, (subject.kind, subject.key))
            row.done, row.series = utc_now(), []
            session.execute(delete(FoundRow).where(FoundRow.erasure == row.erasure))
            return _tombstone(row)

    @retry_while_unavailable
    def lift(self, subject: Subject) -> Tombstone | None:
        """Remove the tombstone of a subject, so that it is read again; return None where there is none.

        Raises
        ------
        ErasureError
            If its erasure has not come to its end.
        """
        with self._database.session() as session:
            row = session.get(TombstoneRow, (subject.kind, subject.key))
            if row is None:
                return None
            if row.done is None:
                raise ErasureError(
                    f"erase: the erasure of {subject} must come to its end before it is lifted, but it was cut short; "
                    f"run `lidcflow erase --{subject.kind} {subject.key}` again"
                )
            session.delete(row)
            return _tombstone(row)

    @retry_while_unavailable
    def all(self) -> list[Tombstone]:
        """Return every tombstone, oldest first."""
        with self._database.session(reads_only=True) as session:
            rows = session.scalars(select(TombstoneRow).order_by(TombstoneRow.asked, TombstoneRow.key))
            return [_tombstone(row, None if row.done else session.get(FoundRow, row.erasure)) for row in rows]


def tombstones_in(url: str) -> list[Tombstone]:
    """Return the tombstones of a catalog; none where there is no catalog, and none is made."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not os.path.lexists(parsed.database or ""):
        return []
    with Tombstones(url) as tombstones:
        return tombstones.all()


def _text(target: Target) -> str:
    return f"{target.series_instance_uid} {target.study_instance_uid or ''}".rstrip()


def _target(text: str) -> Target:
    """Read what `_text` wrote; earlier versions wrote headers' values as they were, blanks and all."""
    series, blank, study = text.rpartition(" ")
    return Target.of(series, study) if blank and is_uid(study) else Target.of(text)


def _tombstone(row: TombstoneRow, found: FoundRow | None = None) -> Tombstone:
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    waiting = tuple(map(_target, row.series))
    subject = Subject(kinds[row.kind], row.key)
    return Tombstone(subject, row.erasure, row.asked, row.done, waiting, found.found if found else {})
