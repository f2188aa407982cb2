"""Folders that every flow writes, tried before it starts: a later fault would be reported for each series."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from lidcflow.config import Config
from lidcflow.disk import require_temporary_folder, require_writable

ROOM_BYTES = 32 * 2**20
"""Growth of Prefect's and MLflow's databases in a small run."""

TEMPORARY_BYTES = 8 * 2**20
ELSEWHERE = "choose another one with --workspace"


def require_places(config: Config) -> None:
    """Make sure that workspace, databases and temporary files can be written and have some room.

    Raises
    ------
    ResourceError
        If one of the folders can't be written, or its disk is full.
    """
    require_writable(config.workspace, f"workspace {config.workspace}", way_out=ELSEWHERE, room_bytes=ROOM_BYTES)
    for name, folder, way_out in _databases(config):
        if not folder.absolute().is_relative_to(config.workspace.absolute()) or folder.exists():
            require_writable(folder, f"{name} {folder}", way_out=way_out, room_bytes=ROOM_BYTES)
    require_temporary_folder(TEMPORARY_BYTES)


def _databases(config: Config) -> list[tuple[str, Path, str]]:
    """Return the folders of databases, each with its name and the setting that moves it."""
    home = Path(os.environ.get("PREFECT_HOME", config.prefect_home))
    found = [("Prefect's home", home, "set PREFECT_HOME to another folder")]
    for name, url, key in (("catalog", config.catalog, "catalog_url"), ("MLflow", config.tracking_uri, "tracking.uri")):
        if folder := _folder_of(url):
            found.append((f"folder of {name}", folder, f"set {key} to another place"))
    return found


def _folder_of(url: str) -> Path | None:
    """Return the folder of an SQLite file, None for anything else; invalid URLs are reported elsewhere."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:"
    return Path(parsed.database or "").parent if is_file else None
