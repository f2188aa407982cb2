"""Keep the database of `lidcflow up`'s Prefect server small: Prefect deletes what is old, SQLite gives room back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DAY_S = 86400
WORTH_IT_BYTES = 20 * 2**20
WORTH_IT_SHARE = 0.25
"""Share of the file that must be free before it is rewritten, which takes a second per 100 MB."""


def retention_settings(days: float) -> dict[str, str]:
    """Return the variables that make a Prefect server delete old runs, with logs and artifacts, and old events."""
    kept_s = int(days * DAY_S)
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(kept_s),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{kept_s}S",
    }


def database_of(prefect_home: Path) -> Path:
    """Return the file of the server's database."""
    return prefect_home / "prefect.db"


def database_bytes(prefect_home: Path) -> int:
    """Return the size of the database with what is written beside it."""
    file = database_of(prefect_home)
    parts = (file, file.with_name("prefect.db-wal"))
    return sum(part.stat().st_size for part in parts if part.is_file())


def shrink(file: Path, worth_it_bytes: int = WORTH_IT_BYTES) -> bool:
    """Write a database anew when much of it is free; return whether it was. Call it while no server has it open.

    SQLite reuses the pages of what is deleted, so a database that has grown to its size does not grow on; it never
    becomes smaller by itself.
    """
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as database:
            names = ("page_count", "freelist_count", "page_size")
            pages, free, page_bytes = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
            worth_it: bool = free * page_bytes >= worth_it_bytes and free >= WORTH_IT_SHARE * pages
            if worth_it:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return worth_it
    except sqlite3.Error:  # another process has it open, or the disk is full: it stays as it is
        return False
