"""Turns between machines that share a catalog in PostgreSQL: a lock of a connection, and a row with a lease.

The lock ends at once with the process that holds it. It also ends when the server restarts, while its holder goes on:
then the row keeps others out until the holder has taken the lock again. A holder that does not return within the lease
loses its row, and with it the right to write (`lidcflow.catalog.fence`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from sqlalchemy import Connection, delete, insert, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from lidcflow.catalog.database import engine_of, redacted_url
from lidcflow.catalog.fence import TURNS, fenced, require_turns
from lidcflow.errors import ResourceError, StoreError

LEASE_S = 10.0
"""Time after its last renewal, or after a restart of the server, during which a row keeps others out."""

RENEW_S = 2.0

_AGAIN_S = 0.5
_CONFLICTING = "name = :name AND (alone OR :alone)"
_EXPIRED = "greatest(renewed, pg_postmaster_start_time()) < clock_timestamp() - make_interval(secs => :lease)"


@contextmanager
def turn(catalog_url: str, name: str, *, alone: bool) -> Iterator[bool]:
    """Context manager: try to take a turn for the block; yields whether it was taken.

    After a process that held it was killed, this waits for the end of its lease.

    Parameters
    ----------
    catalog_url : str
        SQLAlchemy URL of a PostgreSQL database.
    name : str
        Of the turn.
    alone : bool
        Whether the turn is exclusive; otherwise other processes may share it.

    Raises
    ------
    ResourceError
        If the database does not answer.
    StoreError
        If the URL is not one of a database.
    """
    holder = _Holder(catalog_url, name, alone=alone)
    try:
        number = holder.take()
        if number is None:
            yield False
            return
        with fenced(holder.url, number, name), holder.renewing(number):
            yield True
    finally:
        holder.release()


def is_turn_free(catalog_url: str, name: str) -> bool:
    """Return whether no process holds a turn; errors as of `turn`."""
    connection = _connected(catalog_url)
    try:
        return _locked(connection, name, alone=True)
    finally:
        _close(connection)


def check_turns(catalog_url: str) -> None:
    """Raise if another process took over a turn of this one: before a commit to what is not in the catalog.

    Raises
    ------
    WorkspaceBusy
        If one did.
    ResourceError, StoreError
        As of `turn`.
    """
    connection = _connected(catalog_url)
    try:
        require_turns(connection)
    finally:
        _close(connection)


def lock_key(name: str) -> int:
    """Return the number of a lock, a signed one of 64 bits.

    Examples
    --------
    >>> lock_key("train") == lock_key("train"), lock_key("train") == lock_key("inbox")
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"lidcflow {name}".encode()).digest()[:8], signed=True)


class _Holder:
    """A turn from the first attempt to its release; its thread keeps the row fresh and takes a lost lock again."""

    def __init__(self, catalog_url: str, name: str, *, alone: bool) -> None:
        self._catalog_url, self._name, self._alone = catalog_url, name, alone
        self._connection: Connection | None = _connected(catalog_url)
        self.url = self._connection.engine.url
        self._number: int | None = None

    def take(self) -> int | None:
        """Take lock and row; return the row's number, None if another process has the turn."""
        deadline_s = time.monotonic() + 2 * LEASE_S
        while True:
            connection = self._connection = self._connection or _connected(self._catalog_url)
            with _told(connection):
                if not _locked(connection, self._name, alone=self._alone):
                    return None
                self._number = self._row(connection)
            if self._number is not None or time.monotonic() > deadline_s:
                return self._number
            self._disconnect()
            time.sleep(_AGAIN_S)

    def _row(self, connection: Connection) -> int | None:
        """Add a row, unless another one still keeps this process out."""
        with suppress(IntegrityError, ProgrammingError):  # another process may make the table at the same moment
            TURNS.create(connection, checkfirst=True)
        asked = {"name": self._name, "alone": self._alone, "lease": LEASE_S}
        expired = delete(TURNS).where(text(f"{_CONFLICTING} AND {_EXPIRED} OR renewed < now() - interval '1 day'"))
        connection.execute(expired, asked)
        if connection.scalar(text(f"SELECT count(*) FROM {TURNS.name} WHERE {_CONFLICTING}"), asked):  # noqa: S608
            return None
        new = insert(TURNS).values(name=self._name, alone=self._alone, renewed=text("clock_timestamp()"))
        return int(connection.execute(new.returning(TURNS.c.number)).scalar_one())

    @contextmanager
    def renewing(self, number: int) -> Iterator[None]:
        """Context manager: renew the row until the end of the block, or until it is gone."""
        done = Event()
        thread = Thread(target=self._renew_until, args=(done, number), name=f"turn of {self._name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _renew_until(self, done: Event, number: int) -> None:
        while not done.wait(RENEW_S):
            try:
                if not self._renewed(number):
                    return
            except (SQLAlchemyError, ResourceError, StoreError):
                self._disconnect()

    def _renewed(self, number: int) -> bool:
        """Renew the row, and take the lock again where the server let go of it; return whether the row is there."""
        again = self._connection is None
        connection = self._connection = self._connection or _connected(self._catalog_url)
        mine = update(TURNS).where(TURNS.c.number == number).values(renewed=text("clock_timestamp()"))
        standing = connection.execute(mine).rowcount > 0
        if standing and again and not _locked(connection, self._name, alone=self._alone):
            self._disconnect()  # somebody looks whether the turn is free: try again at the next renewal
        return standing

    def release(self) -> None:
        """Delete the row and let go of the lock; where the server is away, the lease runs out."""
        with suppress(SQLAlchemyError, ResourceError, StoreError):
            if self._number is not None:
                connection = self._connection = self._connection or _connected(self._catalog_url)
                connection.execute(delete(TURNS).where(TURNS.c.number == self._number))
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            _close(self._connection)
        self._connection = None


def _connected(catalog_url: str) -> Connection:
    # A lock belongs to its connection: no pool may hand the connection to anyone else, and closing it lets go of it.
    engine = engine_of(catalog_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        return engine.connect()
    except SQLAlchemyError as error:
        raise ResourceError(
            f"catalog {redacted_url(engine)}: the database must answer to say whose turn it is, got "
            f"{type(error).__name__}; start it, or check catalog_url"
        ) from None


@contextmanager
def _told(connection: Connection) -> Iterator[None]:
    """Name the database in errors of what is asked of it."""
    try:
        yield
    except SQLAlchemyError as error:
        raise ResourceError(
            f"catalog {redacted_url(connection.engine)}: the database must say whose turn it is, got "
            f"{type(error).__name__}; start it, or check catalog_url and that its user may create tables"
        ) from None


def _close(connection: Connection) -> None:
    with suppress(SQLAlchemyError):  # a server that went away has let go of the lock
        connection.close()


def _locked(connection: Connection, name: str, *, alone: bool) -> bool:
    function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
    return bool(connection.execute(text(f"SELECT {function}(:key)"), {"key": lock_key(name)}).scalar())
