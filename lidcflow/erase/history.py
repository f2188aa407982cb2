"""Mask erased series in histories: databases of runs, and the services' logs.

A run's history stays readable and countable, so its rows and lines stay; UIDs and keyed hashes in them go.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from lidcflow.errors import LidcflowError, ResourceError, StoreError

BUSY_S = 30.0
_TOKEN = re.compile(r"invalid-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{16}(?!\.?[0-9a-f])|[0-9]+(?:\.[0-9]+){2,}")
"""A keyed hash, or a UID of three parts and more, which no number is; 1.2.3 is not found in 1.2.34."""

_SENTENCE = re.compile(r"[^\"'\n]+")
"""Text between quotes, as in JSON, or on a line."""

_TOKEN_BYTES, _SENTENCE_BYTES = (re.compile(pattern.pattern.encode()) for pattern in (_TOKEN, _SENTENCE))


def masked(text: str, names: Collection[str]) -> str:
    """Return a text with as many x in place of each name, and of every other UID in the same sentence.

    A sentence on a series may name an instance of it that nothing else knows any more.

    Examples
    --------
    >>> masked("series 1.2.3: lacks slices after 1.2.3.9\\nseries 1.2.34: ok", {"1.2.3"})
    'series xxxxx: lacks slices after xxxxxxx\\nseries 1.2.34: ok'
    """
    return _SENTENCE.sub(lambda sentence: _masked_sentence(sentence[0], names), text)


def _masked_sentence(sentence: str, names: Collection[str]) -> str:
    if not any(token in names for token in _TOKEN.findall(sentence)):
        return sentence
    return _TOKEN.sub(lambda found: "x" * len(found[0]), sentence)


def mask_database(file: Path, names: Collection[str], *, only_count: bool = False) -> int:
    """Mask names in every text of an SQLite database, down to the bytes on the disk.

    Parameters
    ----------
    file : Path
        Database; it may be lacking, and a server may have it open.
    names : collection of str
        UIDs and keyed hashes.
    only_count : bool
        Change nothing.

    Returns
    -------
    int
        Values that named any of them.

    Raises
    ------
    ResourceError
        If another process keeps it locked, or it can't be written.
    StoreError
        If it is no database.
    """
    if not file.is_file() or not names:
        return 0
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)) as database:
            database.create_function("masked", 1, _masking(frozenset(names)), deterministic=True)
            count = _count(database) if only_count else _change(database)
        if not only_count:
            overwrite_deleted(file)
        return count
    except sqlite3.Error as error:
        raise _in_the_way(file, error) from None


def overwrite_deleted(file: Path) -> None:
    """Remove from the file of an SQLite database what its tables no longer hold.

    Deleted values stay in the log of changes until a checkpoint, and on pages that were freed without overwriting them.
    The file is written anew, whatever it holds: a value that lies beside digits of another column can't be looked for.

    Raises
    ------
    ResourceError
        If another process keeps it locked, or it can't be written.
    StoreError
        If it is no database.
    """
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)) as database:
            _checkpoint(database, file)
            database.execute("VACUUM")
            _checkpoint(database, file)
    except sqlite3.Error as error:
        raise _in_the_way(file, error) from None


def _in_the_way(file: Path, error: sqlite3.Error) -> LidcflowError:
    if isinstance(error, sqlite3.OperationalError):
        return ResourceError(
            f"database {file.name}: must be writable for an erasure, got '{error}'; stop what uses it, and run again"
        )
    return StoreError(f"database {file.name}: must be a database, got '{error}'; move the file away, and run again")


def mask_logs(folder: Path, names: Collection[str], *, only_count: bool = False) -> int:
    """Mask names in the log files below a folder, in place: the services go on appending to them.

    Returns
    -------
    int
        Occurrences.
    """
    wanted = {name.encode() for name in names}
    files = sorted(path for path in folder.rglob("*.log*") if path.is_file() and not path.is_symlink())
    return sum(_mask_file(file, wanted, only_count=only_count) for file in files if wanted)


def _masking(names: frozenset[str]) -> Callable[[Any], Any]:
    return lambda value: masked(value, names) if isinstance(value, str) else value


def _columns(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for (table,) in tables.fetchall():
        for row in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            yield table, row[1]


def _count(database: sqlite3.Connection) -> int:
    query = 'SELECT count(*) FROM "{0}" WHERE "{1}" IS NOT masked("{1}")'
    return sum(database.execute(query.format(*column)).fetchone()[0] for column in _columns(database))


def _change(database: sqlite3.Connection) -> int:
    change = 'UPDATE "{0}" SET "{1}" = masked("{1}") WHERE "{1}" IS NOT masked("{1}")'
    # SQLite leaves the bytes of changed rows in free pages unless told to overwrite them.
    database.execute("PRAGMA secure_delete = ON")
    database.execute("BEGIN IMMEDIATE")
    count = sum(database.execute(change.format(*column)).rowcount for column in _columns(database))
    database.execute("COMMIT")
    return count


def _checkpoint(database: sqlite3.Connection, file: Path) -> None:
    """Empty the log of changes, once no reader needs it any more."""
    deadline_s = time.monotonic() + BUSY_S
    while database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline_s:
            raise ResourceError(
                f"database {file.name}: must be idle for a moment during an erasure, but a process reads it without "
                "end; stop it, and run again"
            )
        time.sleep(0.1)


def _mask_file(file: Path, names: Collection[bytes], *, only_count: bool) -> int:
    with file.open("rb" if only_count else "r+b") as stream:
        places = list(_places(stream.read(), names))
        for start, end in [] if only_count else places:
            stream.seek(start)
            stream.write(b"x" * (end - start))
    return len(places)


def _places(content: bytes, names: Collection[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where a log has a UID or hash, in each sentence that has one of the names."""
    for sentence in _SENTENCE_BYTES.finditer(content):
        found = list(_TOKEN_BYTES.finditer(content, sentence.start(), sentence.end()))
        if any(token[0] in names for token in found):
            yield from (token.span() for token in found)
