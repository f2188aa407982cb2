"""Headers that were read before, as JSON in one SQLite file: the second index of an archive opens no file again."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from lidcflow.dicom.facts import Facts
from lidcflow.headers.header import Header, Outcome, Unread
from lidcflow.source.files import SourceFile

Decode = Callable[[Any], Any]

# Pydantic's TypeAdapter writes a dataclass as an object with the names of its fields: 1,351 bytes a header instead of
# 175, which the caches that exist do not hold, and 17 µs of CPU time to read one back instead of 13 (2,000 headers). It
# is faster with tuples of plain values (2.4 µs), but facts nest dataclasses, so that both ways would be needed, to save
# a third of the 31 µs that a header from the cache costs in all.


CACHE_VERSION = 1
"""Raised when headers are read otherwise; another set of fields is noticed by itself."""

_BUSY_S = 2.0
_MOST_FACTS = 20_000
"""Facts that are held, each about 2 kB: the files of a series are mostly read one after the other."""

_TABLES = """
CREATE TABLE IF NOT EXISTS form (form TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY, content TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, version TEXT NOT NULL, content TEXT NOT NULL
) WITHOUT ROWID;
"""


def encoded(value: Any) -> Any:
    """Turn a value into lists, numbers and texts.

    Parameters
    ----------
    value : dataclass, tuple, text, number, bool or None
        What is to be kept.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple | list):
        return [encoded(item) for item in value]
    if is_dataclass(value):
        return [encoded(getattr(value, field.name)) for field in fields(value)]
    raise TypeError(f"a value must be made of dataclasses, tuples, texts and numbers, got {type(value).__name__}")


@cache
def decoder(kind: Any) -> Decode:
    """Return the function that turns what `encoded` made back into a value of one type.

    Parameters
    ----------
    kind : type
        A dataclass, or a hint of one of its fields.

    Raises
    ------
    TypeError
        If the hint cannot be kept.

    Examples
    --------
    >>> decoder(tuple[int, ...] | None)([1, 2])
    (1, 2)
    """
    if is_dataclass(kind) and isinstance(kind, type):
        return _of_dataclass(kind)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = [part for part in get_args(kind) if part is not type(None)]
        return _optional(decoder(inner))
    if origin is tuple:
        return _of_tuple(get_args(kind))
    if kind in (str, int, float, bool):
        return _as_it_is
    raise TypeError(f"a field must be a dataclass, tuple, text or number, got {kind}")


def shape_of(kind: type) -> str:
    """Describe a dataclass by its fields and hints, so that what was encoded by another version is known as such.

    Parameters
    ----------
    kind : dataclass type
        What is encoded; it may hold dataclasses, and others of its own kind.
    """
    known: dict[type, dict[str, str]] = {}
    waiting: list[Any] = [kind]
    while waiting:
        one = waiting.pop()
        if is_dataclass(one) and isinstance(one, type) and one not in known:
            hints = get_type_hints(one)
            known[one] = {name: str(hint) for name, hint in hints.items()}
            waiting += parts_of(*hints.values())
    return str({one.__name__: hints for one, hints in known.items()})


def parts_of(*hints: Any) -> list[Any]:
    """List hints and all that they are made of.

    Examples
    --------
    >>> parts_of(tuple[int, ...])
    [tuple[int, ...], <class 'int'>, Ellipsis]
    """
    return [part for hint in hints for part in (hint, *parts_of(*get_args(hint)))]


def _of_dataclass(kind: type) -> Decode:
    hints = get_type_hints(kind)
    decoders = [decoder(hints[field.name]) for field in fields(kind)]
    if all(decode is _as_it_is for decode in decoders):
        return lambda values: kind(*values)
    return lambda values: kind(*[decode(value) for decode, value in zip(decoders, values, strict=True)])


def _of_tuple(hints: tuple[Any, ...]) -> Decode:
    decoders = {decoder(hint) for hint in hints if hint is not Ellipsis}
    if decoders == {_as_it_is}:
        return tuple
    if len(hints) == 2 and hints[1] is Ellipsis:
        (decode,) = decoders
        return lambda values: tuple([decode(value) for value in values])
    return lambda values: tuple([decoder(hint)(value) for hint, value in zip(hints, values, strict=True)])


def _optional(decode: Decode) -> Decode:
    return decode if decode is _as_it_is else lambda value: None if value is None else decode(value)


def _as_it_is(value: Any) -> Any:
    return value


# A cache of another form is made anew rather than migrated: what a new field holds stands in the files alone, so a
# migration would have to open them all the same. Reading costs 0.28 ms of CPU time a header, once, against 0.03 ms from
# the cache: 28 s for 100,000 images.

_HINTS = get_type_hints(Header)
_INNER = [name for name, hint in _HINTS.items() if Header in parts_of(hint)]
"""Fields that hold the headers of frames: kept as headers are, without path and version."""

_OWN = [field.name for field in fields(Header) if field.name not in ("path", "version", "facts", *_INNER)]
_DECODERS = [decoder(_HINTS[name]) for name in _OWN]


def form() -> str:
    """Describe how the cache is written: a file of another form is dropped."""
    shapes = f"{CACHE_VERSION} {shape_of(Header)} {[kind.name for kind in Unread]}"
    return hashlib.sha256(shapes.encode()).hexdigest()


class HeaderCache:
    """Cache of header results, by keyed hash of the path, size and version.

    It holds no path, and of a patient what `Header` holds: UIDs and the keyed hash. A file that can't be used is
    replaced; one that another process holds is left alone: both cost time and nothing else.

    Parameters
    ----------
    file : Path
        SQLite file; made when it is lacking.
    secret : bytes
        Key of the hash.
    fresh : bool
        Forget what is known of a file, and remember it anew.
    """

    def __init__(self, file: Path, secret: bytes, *, fresh: bool = False) -> None:
        self._secret = secret
        self._fresh = fresh
        self._facts: dict[int, Facts] = {}
        self._ids: dict[Facts, int] = {}
        self._database = _opened(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()

    def known(self, files: Sequence[SourceFile]) -> list[Outcome | None]:
        """Return what each file gave, None where that has to be read."""
        if self._database is None or self._fresh:
            return [None] * len(files)
        query = "SELECT content FROM files WHERE path = ? AND size_bytes = ? AND version = ?"
        with self._forgiving():
            find = self._database.execute
            rows = [find(query, (self._key(file), file.size_bytes, file.version)).fetchone() for file in files]
            return [row and self._outcome(file, row[0]) for file, row in zip(files, rows, strict=True)]
        return [None] * len(files)

    def remember(self, files: Sequence[SourceFile], outcomes: Sequence[Outcome]) -> None:
        """Keep what files gave, in one transaction; what could not be read may be read the next time."""
        if self._database is None:
            return
        kept = [(file, made) for file, made in zip(files, outcomes, strict=True) if made is not Unread.UNREADABLE]
        with self._forgiving(), self._database:
            rows = [(self._key(file), file.size_bytes, file.version, self._content(made)) for file, made in kept]
            self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without the cache when the database fails: it is locked, damaged, or the disk is full."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, KeyError):
            self._ids.clear()

    def _key(self, file: SourceFile) -> bytes:
        return hmac.digest(self._secret, file.path.encode(errors="surrogateescape"), "sha256")[:16]

    def _content(self, outcome: Outcome) -> str:
        return json.dumps(outcome.name if isinstance(outcome, Unread) else self._packed(outcome))

    def _outcome(self, file: SourceFile, content: str) -> Outcome:
        found = json.loads(content)
        return Unread[found] if isinstance(found, str) else self._header(file, found)

    def _packed(self, header: Header) -> list[Any]:
        own = [encoded(getattr(header, name)) for name in _OWN]
        inner = [[self._packed(frame) for frame in getattr(header, name)] for name in _INNER]
        return [self._id_of(header.facts), own, inner]

    def _header(self, file: SourceFile, packed: list[Any]) -> Header:
        facts_id, values, inner = packed
        own = {name: decode(value) for name, decode, value in zip(_OWN, _DECODERS, values, strict=True)}
        for name, frames in zip(_INNER, inner, strict=True):
            own[name] = tuple(self._header(file, frame) for frame in frames)
        return Header(path=file.path, version=file.version, facts=self._facts_of(facts_id), **own)

    def _id_of(self, facts: Facts) -> int:
        """Keep the shared part of a header once for all files of a series."""
        if facts not in self._ids:
            _drop_oldest(self._ids)
            content = json.dumps(encoded(facts))
            self._query("INSERT OR IGNORE INTO facts (content) VALUES (?)", content)
            self._ids[facts] = self._query("SELECT id FROM facts WHERE content = ?", content)[0]
        return self._ids[facts]

    def _facts_of(self, facts_id: int) -> Facts:
        if facts_id not in self._facts:
            _drop_oldest(self._facts)
            row = self._query("SELECT content FROM facts WHERE id = ?", facts_id)
            self._facts[facts_id] = decoder(Facts)(json.loads(row[0]))
        return self._facts[facts_id]

    def _query(self, query: str, *values: Any) -> Any:
        if self._database is None:
            raise ValueError("a cache must be open")
        return self._database.execute(query, values).fetchone()


def _drop_oldest(held: dict[Any, Any]) -> None:
    if len(held) >= _MOST_FACTS:
        del held[next(iter(held))]


def _opened(file: Path) -> sqlite3.Connection | None:
    """Open the cache; what is no cache of this form is replaced."""
    for _ in range(2):
        try:
            return _connected(file)
        except sqlite3.OperationalError:  # locked, or a place that can't be written
            return None
        except (sqlite3.DatabaseError, ValueError):
            with suppress(OSError):
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{file}{suffix}").unlink(missing_ok=True)
    return None


def _connected(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=_BUSY_S)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_TABLES)
        with database:
            database.execute("INSERT INTO form SELECT ? WHERE NOT EXISTS (SELECT 1 FROM form)", (form(),))
        if database.execute("SELECT form FROM form").fetchall() != [(form(),)]:
            raise ValueError("a cache must have the form of this version")
    except Exception:
        database.close()
        raise
    return database
