"""Take series out of the cache of headers."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from lidcflow.dicom.facts import Facts
from lidcflow.dicom.values import is_uid, series_name
from lidcflow.errors import StoreError
from lidcflow.headers.cache import form

_PLACES = {field.name: place for place, field in enumerate(fields(Facts))}


def cached_series(file: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield name, StudyInstanceUID and patient key of the series in the cache; none without a cache."""
    with _opened(file) as database:
        for (content,) in database.execute("SELECT content FROM facts") if database else ():
            facts = json.loads(content)
            study, patient = facts[_PLACES["study_instance_uid"]], facts[_PLACES["patient_key"]]
            yield _name(facts), study, patient


def cached_instances(file: Path, names: Collection[str]) -> Iterator[str]:
    """Yield the SOPInstanceUIDs of series, by name, that the cache knows."""
    with _opened(file) as database:
        if database is None:
            return
        wanted = [row for row, content in database.execute("SELECT id, content FROM facts") if _is_of(content, names)]
        for row in wanted:
            query = "SELECT content FROM files WHERE json_extract(content, '$[0]') = ?"
            for (content,) in database.execute(query, (row,)):
                yield from (value for value in json.loads(content)[1] if isinstance(value, str) and is_uid(value))


def cached_files(file: Path, names: Collection[str]) -> dict[str, int]:
    """Return how many files of each series, by name, the cache knows."""
    counts: Counter[str] = Counter()
    with _opened(file) as database:
        if database is None:
            return {}
        for row, content in database.execute("SELECT id, content FROM facts").fetchall():
            if (name := _name(json.loads(content))) in names:
                query = "SELECT count(*) FROM files WHERE json_extract(content, '$[0]') = ?"
                counts[name] += database.execute(query, (row,)).fetchone()[0]
    return dict(counts)


def forget_series(file: Path, uids: Collection[str], *, only_count: bool = False) -> int:
    """Delete what is known of the files of series, and overwrite it on the disk.

    Parameters
    ----------
    file : Path
        The cache; it may be lacking.
    uids : collection of str
        Names of series, as verdicts have them.
    only_count : bool
        Delete nothing.

    Returns
    -------
    int
        Files that the cache knew.

    Raises
    ------
    StoreError
        If another process holds the cache, or it can't be read.
    """
    with _opened(file) as database:
        if database is None:
            return 0 if only_count else _drop(file)
        rows = database.execute("SELECT id, content FROM facts").fetchall()
        doomed = [(row,) for row, content in rows if _is_of(content, uids)]
        counting = "SELECT count(*) FROM files WHERE json_extract(content, '$[0]') = ?"
        known: int = sum(database.execute(counting, row).fetchone()[0] for row in doomed)
        if doomed and not only_count:
            _delete(database, doomed)
        return known


def _name(facts: list[Any]) -> str:
    return series_name(facts[_PLACES["series_instance_uid"]])


def _is_of(content: str, names: Collection[str]) -> bool:
    return _name(json.loads(content)) in names


def _drop(file: Path) -> int:
    """Delete a cache of another form, which nobody reads any more."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
    return 0


def _delete(database: sqlite3.Connection, facts: list[tuple[int]]) -> None:
    # SQLite leaves the bytes of deleted rows in free pages unless told to overwrite them.
    database.execute("PRAGMA secure_delete = ON")
    with database:
        database.executemany("DELETE FROM files WHERE json_extract(content, '$[0]') = ?", facts)
        database.executemany("DELETE FROM facts WHERE id = ?", facts)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection | None]:
    if not file.is_file():
        yield None
        return
    try:
        with closing(sqlite3.connect(file, timeout=30)) as database:
            yield database if database.execute("SELECT form FROM form").fetchall() == [(form(),)] else None
    except sqlite3.Error as error:
        raise StoreError(
            f"header cache {file.name}: must be readable and writable, got '{error}'; stop what uses it, or delete the "
            "file: it costs the next index time and nothing else"
        ) from None
