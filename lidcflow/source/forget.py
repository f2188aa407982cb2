"""Take series out of the cache of headers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

from lidcflow.ct.facts import Facts
from lidcflow.errors import StoreError
from lidcflow.source.cache import form

_PLACES = {field.name: place for place, field in enumerate(fields(Facts))}


def cached_series(file: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield SeriesInstanceUID, StudyInstanceUID and patient key of the series in the cache; none without a cache."""
    with _opened(file) as database:
        for (content,) in database.execute("SELECT content FROM facts") if database else ():
            facts = json.loads(content)
            yield tuple(facts[_PLACES[name]] for name in ("series_instance_uid", "study_instance_uid", "patient_key"))


def forget_series(file: Path, uids: Collection[str], *, only_count: bool = False) -> int:
    """Delete what is known of the files of series, and overwrite it on the disk.

    Parameters
    ----------
    file : Path
        The cache; it may be lacking.
    uids : collection of str
        SeriesInstanceUIDs.
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
        doomed = [(row,) for row, content in rows if json.loads(content)[_PLACES["series_instance_uid"]] in uids]
        counting = "SELECT count(*) FROM files WHERE json_extract(content, '$[0]') = ?"
        known: int = sum(database.execute(counting, row).fetchone()[0] for row in doomed)
        if doomed and not only_count:
            _delete(database, doomed)
        return known


def _drop(file: Path) -> int:
    """Delete a cache of another form, which nobody reads any more."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
    return 0


def _delete(database: sqlite3.Connection, facts: list[tuple[int]]) -> None:
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
