"""Locks that hold between machines: PostgreSQL's advisory locks, in the database of the catalog.

A lock goes with its connection, so with the process that holds it, however that ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from lidcflow.errors import ResourceError
from lidcflow.store.database import engine_of, shown


def holds_between_machines(catalog_url: str) -> bool:
    """Tell whether a catalog's database has locks that several machines see.

    Examples
    --------
    >>> holds_between_machines("postgresql+pg8000://me@db/catalog"), holds_between_machines("sqlite:///catalog.db")
    (True, False)
    """
    return make_url(catalog_url).get_backend_name() == "postgresql"


@contextmanager
def held_between_machines(catalog_url: str, name: str, *, alone: bool) -> Iterator[bool]:
    """Try to hold a lock for as long as the block runs, and give whether it is held.

    Parameters
    ----------
    catalog_url : str
        SQLAlchemy URL of a PostgreSQL database.
    name : str
        Of the lock.
    alone : bool
        Whether nobody else may hold it; otherwise others that don't want to be alone may.

    Raises
    ------
    ResourceError
        If the database does not answer.
    StoreError
        If the URL is not one of a database.
    """
    connection = _connected(catalog_url)
    try:
        yield _taken(connection, name, alone=alone)
    finally:
        with suppress(SQLAlchemyError):  # a server that went away has let go of the lock
            connection.close()


def _connected(catalog_url: str) -> Connection:
    engine = engine_of(catalog_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        return engine.connect()
    except SQLAlchemyError as error:
        raise ResourceError(
            f"catalog {shown(engine)}: the database must answer to say whose turn it is, got {type(error).__name__}; "
            "start it, or check catalog_url"
        ) from None


def _taken(connection: Connection, name: str, *, alone: bool) -> bool:
    function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
    return bool(connection.execute(text(f"SELECT {function}(:key)"), {"key": lock_key(name)}).scalar())


def lock_key(name: str) -> int:
    """Return the number of a lock, a signed one of 64 bits.

    Examples
    --------
    >>> lock_key("train") == lock_key("train"), lock_key("train") == lock_key("inbox")
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"lidcflow {name}".encode()).digest()[:8], signed=True)
