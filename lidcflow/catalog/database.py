"""The database behind the catalog: SQLite or PostgreSQL, its schema version, and transactions
that are repeated while the server is away."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Dialect,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session

from lidcflow.catalog.fence import require_turns
from lidcflow.catalog.migrate import SCHEMA_VERSION, migrate, stored_version
from lidcflow.config.validators import without_passwords
from lidcflow.errors import DatabaseUnavailable, LidcflowError, ResourceError, StoreError

PATIENCE_S = 60.0
"""A restart takes seconds, a move to another machine up to a minute."""
AGAIN_AFTER_S = 0.5
_SHUTTING_DOWN, _NO_CONNECTION = "57P", "08"
"""Classes of SQLSTATE: shutdown, crash and start-up; connection exceptions."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


_BUSY_TIMEOUT_MS = 30_000

_FULL = ("disk is full", "No space left on device")
"""Parts of the error messages of SQLite and PostgreSQL for a full disk."""

_POOL = "catalog"
# It logs a traceback for each connection that a server closed before, which is expected here: flows report errors.
for _kind in ("QueuePool", "NullPool"):
    logging.getLogger(f"sqlalchemy.pool.impl.{_kind}.{_POOL}").setLevel(logging.CRITICAL)

_WRITER_LOCK = 0x6C696463
"""Advisory lock on PostgreSQL: the second of two writers waits, for the tables if both run for the first time."""


def is_missing_sqlite(url: str) -> bool:
    """Return whether a database is a file that is not there yet; a folder in its place is found on opening it."""
    return url.startswith("sqlite") and not os.path.lexists(make_url(url).database or "")


def is_unavailable(error: SQLAlchemyError, dialect: str) -> bool:
    """Return whether a server ended a transaction, or did not begin it, because it stops, starts or can't be reached.

    SQLite has no server: the same errors tell of a disk or a lock there.
    """
    if dialect == "sqlite" or not isinstance(error, DBAPIError):
        return False
    gone = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return gone or _sqlstate(error.orig).startswith((_SHUTTING_DOWN, _NO_CONNECTION))


def retry_while_unavailable(transaction: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Repeat a method that is one transaction when its server becomes unavailable.

    Such a method is idempotent, because it is not known whether an interrupted commit took place.
    Iterators among its arguments are kept as lists, for they can be gone through once only.
    """

    @wraps(transaction)
    def until_it_answers(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        kept: Any = [list(value) if isinstance(value, Iterator) else value for value in args]
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return transaction(*kept, **options)
            except DatabaseUnavailable:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(AGAIN_AFTER_S)

    return until_it_answers


def _sqlstate(cause: BaseException | None) -> str:
    """Return the code of an error of PostgreSQL; its drivers keep it in different places."""
    fields = cause.args[0] if cause and cause.args and isinstance(cause.args[0], dict) else {}
    return str(fields.get("C") or getattr(cause, "sqlstate", None) or "")


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, also from SQLite, which keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Tables of the catalog."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {list[str]: JSON, datetime: UtcTime}


class Database:
    """The catalog's tables behind a SQLAlchemy URL; made on first use, migrated when an earlier lidcflow made them.

    Parameters
    ----------
    url : str
        Such as ``sqlite:///catalog.db`` or ``postgresql+pg8000://user@host/lidcflow``.

    Raises
    ------
    DatabaseUnavailable
        If its server does not answer.
    StoreError
        If the database can't be opened, or a later version of lidcflow made it.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._where = f"catalog {redacted_url(self._engine)}"
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def session(self, *, reads_only: bool = False) -> Iterator[Session]:
        """One transaction; what the database complains about becomes one sentence."""
        engine = self._engine.execution_options(reads_only=reads_only)
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise self._in_one_sentence(error) from error

    def _in_one_sentence(self, error: SQLAlchemyError) -> LidcflowError:
        cause = _cause(error)
        if any(words in cause for words in _FULL):
            return ResourceError(f"{self._where}: the disk must have room, got none; free some space")
        if is_unavailable(error, self._engine.dialect.name):
            return DatabaseUnavailable(
                f"{self._where}: its server must answer, got '{cause}'; start it, or check catalog_url, and run again: "
                "what is stored is kept"
            )
        return StoreError(
            f"{self._where}: must be a database that can be read and written, got '{cause}'; check catalog_url"
        )

    def _open(self) -> None:
        """Check the version of the tables; make or migrate them where need be."""
        with self.session(reads_only=True) as session:
            version = stored_version(session.connection())
        if version < SCHEMA_VERSION:
            with self.session() as session:
                version = migrate(session.connection())
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._where}: schema version must be {SCHEMA_VERSION}, got {version}; a later lidcflow made it: "
                "install that one, or move the catalog away and run `lidcflow preprocess` again: volumes are kept and "
                "reused"
            )


class Tables:
    """Some of the catalog's tables, for as long as a ``with`` block lasts; parameters and errors as of `Database`."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def engine_of(url: str, **options: Any) -> Engine:
    """Make the engine of a catalog; it connects on first use.

    Parameters
    ----------
    url : str
        SQLAlchemy URL.
    **options
        Of `sqlalchemy.create_engine`.

    Raises
    ------
    StoreError
        If the URL is none, its driver is not installed or its folder can't be made. A URL with an option that its
        driver does not take raises on connecting.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_logging_name=_POOL, **options)
    except OSError as error:
        raise StoreError(f"catalog: its folder must be writable, got {error.strerror}; check catalog_url") from None
    except ImportError as error:
        raise StoreError(
            f"catalog: the driver of catalog_url must be installed, got no module '{error.name}'; "
            "pip install 'lidcflow[postgres]' and begin the URL with postgresql+pg8000://"
        ) from None
    except (SQLAlchemyError, ValueError, TypeError):
        raise StoreError(
            "catalog: catalog_url must be a SQLAlchemy URL, got another form; it looks like "
            "postgresql+pg8000://user@host/name"
        ) from None
    event.listen(engine, "do_connect", _connect)
    return engine


def redacted_url(engine: Engine) -> str:
    """Return the URL of an engine for people: without its password and without options, which may hold another."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    engine = engine_of(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _connect(dialect: Dialect, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    """Connect; what drivers raise for options and host names that they do not take is no error of a database."""
    try:
        return dialect.connect(*arguments, **options)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise StoreError(
            f"catalog: catalog_url must have a host and options that its driver {dialect.driver} takes, got "
            f"{type(error).__name__}: {without_passwords(str(error).partition(chr(10))[0])}; correct catalog_url"
        ) from None


def _cause(error: SQLAlchemyError) -> str:
    """Describe in a line what the driver complained about; pg8000 gives the server's fields as they came."""
    cause = getattr(error, "orig", None) or error
    if cause.args and isinstance(cause.args[0], dict) and "M" in cause.args[0]:
        return str(cause.args[0]["M"])
    return str(cause).splitlines()[0]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Set up a connection: readers read while a flow writes, a second writer waits, deleted rows are overwritten."""
    connection.isolation_level = None  # the driver's own BEGIN comes after the first reads, see _begin_sqlite
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock of writers first: two flows that read before they write would otherwise fail, not wait."""
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads_only") else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    """Make writers wait for each other, as with SQLite: two flows that record one series would both add its row.

    A process whose turn another one took over writes nothing.
    """
    if not connection.get_execution_options().get("reads_only"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
        require_turns(connection)
