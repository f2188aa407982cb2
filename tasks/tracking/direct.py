"""Read MLflow's database and files without MLflow, which takes 2.5 s of CPU to import.

What is read directly is a SQLite file of the schema that is known here, and plain files of this machine. Anything else,
and whatever is wrong, is left to MLflow, where errors have their sentences.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from lidcflow.catalog.locks import relocate_tracking
from tasks.tracking.place import Tracking, local_path

SCHEMA = "dc11669786a5"
"""Alembic's name of the schema of MLflow's database that the queries are written for, that of MLflow 3.17."""

_SQLITE = "sqlite:///"
_REGISTERED = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>\d+)")
_STORED_AT = """
SELECT storage_location FROM model_versions
WHERE workspace = 'default' AND name = ? AND version = ? AND current_stage != 'Deleted_Internal'
"""
_RUN_OF = """
SELECT artifact_uri FROM runs WHERE lifecycle_stage = 'active' AND run_uuid = (
    SELECT run_id FROM model_versions
    WHERE workspace = 'default' AND name = ? AND version = ? AND current_stage != 'Deleted_Internal'
)
"""
_TAG_OF = "SELECT value FROM model_version_tags WHERE workspace = 'default' AND name = ? AND version = ? AND key = ?"


class NotDirect(Exception):
    """Something that is not to be read without MLflow."""


NOT_READ = (NotDirect, sqlite3.Error, OSError, ValueError)


def settle(tracking: Tracking) -> None:
    """Correct the places in the database of a workspace that was moved or copied."""
    if (workspace := tracking.workspace) and workspace.is_dir():
        relocate_tracking(workspace)


@contextmanager
def opened_database(tracking: Tracking) -> Iterator[sqlite3.Connection]:
    """Open MLflow's database to be read.

    Raises
    ------
    NotDirect
        If MLflow is a server, or its database is none of the known schema.
    sqlite3.Error
        If it can't be read.
    """
    if not tracking.uri.startswith(_SQLITE):
        raise NotDirect
    place = quote(tracking.uri.removeprefix(_SQLITE))
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as database:
        if database.execute("SELECT version_num FROM alembic_version").fetchall() != [(SCHEMA,)]:
            raise NotDirect
        yield database


def model_folder(tracking: Tracking, uri: str) -> Path:
    """Return the folder of this machine that holds a registered model.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    uri : str
        ``models:/name/version``.

    Raises
    ------
    NotDirect
        If the model is not a folder of this machine, or the address is another one.
    sqlite3.Error
        If the database can't be read.
    """
    named = _REGISTERED.fullmatch(uri)
    if named is None:
        raise NotDirect
    settle(tracking)
    with opened_database(tracking) as database:
        return _folder(database.execute(_STORED_AT, (named["name"], int(named["version"]))).fetchone())


def training_folder(tracking: Tracking, version: int) -> Path:
    """Return the folder of this machine that holds the artifacts of the training of a release; raise as above."""
    settle(tracking)
    with opened_database(tracking) as database:
        return _folder(database.execute(_RUN_OF, (tracking.registry_name, version)).fetchone())


def release_tag(tracking: Tracking, version: int, key: str) -> str:
    """Return a tag of a release; empty where it has none. What is raised is as for `model_folder`."""
    with opened_database(tracking) as database:
        found = database.execute(_TAG_OF, (tracking.registry_name, version, key)).fetchone()
    return str(found[0]) if found else ""


def read_plain(file: Path, *, most_bytes: int) -> bytes:
    """Read a plain file of this machine, following no link.

    Raises
    ------
    NotDirect
        If it is a device or longer than `most_bytes`.
    OSError
        If it can't be read.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
            raise NotDirect
        return opened.read()


def _folder(row: tuple[str | None] | None) -> Path:
    folder = local_path((row and row[0]) or "")
    if folder is None:
        raise NotDirect
    return folder
