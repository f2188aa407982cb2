"""List the releases without MLflow: to import it takes 2.5 s of CPU, and its database is read in milliseconds.

What is read directly is a SQLite file of the schema that is known here, with records in plain files of this machine.
Anything else, and whatever is wrong, is left to MLflow by way of `tasks.tracking.registry`, where errors have their
sentences.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from urllib.parse import quote

from lidcflow.catalog.locks import relocate_tracking
from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.place import Tracking, is_there, local_path
from tasks.tracking.record import (
    CHAMPION,
    MOST_RECORD_BYTES,
    RECORD_FILE,
    Listed,
    checked_record,
    listed,
    missing_release,
    warn_if_unpinned,
)

SCHEMA = "dc11669786a5"
"""Alembic's name of the schema of MLflow's database that the queries below are written for, that of MLflow 3.17."""

_SQLITE = "sqlite:///"
_VERSIONS = """
SELECT version, source FROM model_versions
WHERE workspace = 'default' AND name = ? AND current_stage != 'Deleted_Internal' ORDER BY version DESC
"""
_TAGS = "SELECT version, key, value FROM model_version_tags WHERE workspace = 'default' AND name = ?"
_CHAMPION = "SELECT version FROM registered_model_aliases WHERE workspace = 'default' AND name = ? AND alias = ?"


class NotDirect(Exception):
    """Something that is not to be read without MLflow."""


NOT_READ = (NotDirect, sqlite3.Error, OSError, ValueError)


@dataclass(frozen=True)
class StoredVersion:
    """A registered version as the database holds it."""

    name: str
    version: int
    source: str
    tags: Mapping[str, str]


def list_releases(tracking: Tracking) -> list[Listed]:
    """List every release, newest first.

    Raises
    ------
    ResourceError
        If the database can't be opened, or the workspace was moved and another process is at work there.
    TrackingAway
        If the MLflow server does not answer.
    """
    if not is_there(tracking):
        return []
    _settle(tracking)
    try:
        versions, champion = _read_database(tracking)
        return [listed(version, champion, _read_record) for version in versions]
    except NOT_READ:
        by_mlflow: list[Listed] = _registry().list_releases(tracking)
        return by_mlflow


def load_release(tracking: Tracking, reference: str) -> ReleaseRecord:
    """Return the record of a release, by version number or alias; warn of one from before digests were kept.

    Raises
    ------
    ReleaseError
        If there is none, or it is incomplete, or its record can't be read or has changed.
    TrackingAway
        If the MLflow server does not answer.
    """
    if not is_there(tracking):
        raise ReleaseError(missing_release(reference, any_release=False))
    _settle(tracking)
    try:
        versions, champion = _read_database(tracking)
        wanted = champion if reference == CHAMPION else int(reference)
        record = checked_record(next(one for one in versions if one.version == wanted), _read_record)
    except (*NOT_READ, StopIteration):
        by_mlflow: ReleaseRecord = _registry().load_release(tracking, reference)
        return by_mlflow
    warn_if_unpinned(record)
    return record


def champion_version(tracking: Tracking) -> int | None:
    """Return the version in force, if there is one."""
    if not is_there(tracking):
        return None
    try:
        return _read_database(tracking)[1]
    except NOT_READ:
        by_mlflow: int | None = _registry().champion_version(tracking)
        return by_mlflow


def _registry() -> ModuleType:
    return import_module("tasks.tracking.registry")


def _settle(tracking: Tracking) -> None:
    if (workspace := tracking.workspace) and workspace.is_dir():
        relocate_tracking(workspace)


def _read_database(tracking: Tracking) -> tuple[list[StoredVersion], int | None]:
    """Return the versions of the release, newest first, and the one in force."""
    if not tracking.uri.startswith(_SQLITE):
        raise NotDirect
    place, name = quote(tracking.uri.removeprefix(_SQLITE)), tracking.registry_name
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as database:
        if database.execute("SELECT version_num FROM alembic_version").fetchall() != [(SCHEMA,)]:
            raise NotDirect
        tags: dict[int, dict[str, str]] = {}
        for version, key, value in database.execute(_TAGS, (name,)):
            tags.setdefault(version, {})[key] = value
        versions = [
            StoredVersion(name, number, source, tags.get(number, {}))
            for number, source in database.execute(_VERSIONS, (name,))
        ]
        champion = database.execute(_CHAMPION, (name, CHAMPION)).fetchone()
    return versions, champion and champion[0]


def _read_record(source: str, _: str) -> bytes:
    """Read a record that is a plain file in a folder of this machine, following no link."""
    folder = local_path(source)
    if folder is None or folder.is_symlink():
        raise NotDirect
    with open(os.open(folder / RECORD_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_RECORD_BYTES:
            raise NotDirect
        return file.read()
