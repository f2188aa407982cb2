"""List the releases without MLflow: to import it takes 2.5 s of CPU, and its database is read in milliseconds.

What is read directly is a SQLite file of the schema that is known here, with records in plain files of this machine.
Anything else, and whatever is wrong, is left to MLflow by way of `tasks.tracking.registry`, where errors have their
sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.direct import NOT_READ, NotDirect, opened_database, read_plain, settle
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

_VERSIONS = """
SELECT version, source FROM model_versions
WHERE workspace = 'default' AND name = ? AND current_stage != 'Deleted_Internal' ORDER BY version DESC
"""
_TAGS = "SELECT version, key, value FROM model_version_tags WHERE workspace = 'default' AND name = ?"
_CHAMPION = "SELECT version FROM registered_model_aliases WHERE workspace = 'default' AND name = ? AND alias = ?"


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
    settle(tracking)
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
    settle(tracking)
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


def _read_database(tracking: Tracking) -> tuple[list[StoredVersion], int | None]:
    """Return the versions of the release, newest first, and the one in force."""
    name = tracking.registry_name
    with opened_database(tracking) as database:
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
    folder = local_path(source)
    if folder is None or folder.is_symlink():
        raise NotDirect
    return read_plain(folder / RECORD_FILE, most_bytes=MOST_RECORD_BYTES)
