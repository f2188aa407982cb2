"""The version of the catalog's tables, and how tables of earlier versions are brought to this one."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Integer, MetaData, Table, delete, insert, inspect, select

SCHEMA_VERSION = 1
"""Version of the tables that this lidcflow works with: that of the last script in ``migrations/versions``."""

VERSION_TABLE = "lidcflow_migrations"
"""Alembic's own record; its usual name, alembic_version, is taken where MLflow or Prefect share the database."""

_FIRST_VERSION = 1
_SCHEMA = Table("lidcflow_schema", MetaData(), Column("version", Integer, primary_key=True))
"""Every lidcflow looks here, those of before migrations too: they refuse a catalog that has a later version."""


def stored_version(connection: Connection) -> int:
    """Return the version of the tables; 0 where there are none, or where those of before migrations are to be seen to.

    Parameters
    ----------
    connection : Connection
        To the catalog's database; it is only read.
    """
    tables = inspect(connection).get_table_names()
    if _SCHEMA.name not in tables:
        return 0
    version: int = connection.scalars(select(_SCHEMA.c.version)).one()
    return 0 if version == _FIRST_VERSION and VERSION_TABLE not in tables else version


def migrate(connection: Connection) -> int:
    """Make the tables, or bring those of an earlier version to this one.

    Parameters
    ----------
    connection : Connection
        In a transaction that keeps other writers out, and that the caller commits: a migration that is broken off
        changes nothing, and a second process finds the work of the first one done.

    Returns
    -------
    int
        The version of the tables, which a later lidcflow may have made meanwhile: those are left alone.
    """
    version = stored_version(connection)
    if version < SCHEMA_VERSION:
        _upgrade(connection)
        connection.execute(delete(_SCHEMA))
        connection.execute(insert(_SCHEMA).values(version=SCHEMA_VERSION))
        return SCHEMA_VERSION
    return version


def _upgrade(connection: Connection) -> None:
    from lidcflow.catalog.upgrade import run_scripts  # Alembic costs 0.14 s of CPU time, and few catalogs need it

    _SCHEMA.create(connection, checkfirst=True)
    run_scripts(connection, VERSION_TABLE)
