"""The last clean-up of a workspace, as the workspace keeps it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lidcflow.files import write_whole

FILE = "clean-up.json"


class CleanUp(BaseModel):
    """Result of a clean-up: what was deleted, and what was kept.

    Parameters
    ----------
    at : datetime
        When it ended.
    volumes, reports : int
        Volumes of the inbox store and reports that were deleted.
    freed_bytes : int
        Size of what was deleted.
    inbox_store_bytes : int, optional
        Size of what is left in the inbox store; None in a bucket, which does not add up its objects.
    reports_bytes, logs_bytes : int
        Sizes of what is left.
    oldest_volume, oldest_report : datetime, optional
        When the oldest of those that are left were last used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime
    volumes: int
    reports: int
    freed_bytes: int
    inbox_store_bytes: int | None
    reports_bytes: int
    logs_bytes: int
    oldest_volume: datetime | None
    oldest_report: datetime | None
    notice: str = "Research use only."


def last_clean_up(workspace: Path) -> CleanUp | None:
    """Return the last clean-up of a workspace, if there was one."""
    try:
        return CleanUp.model_validate_json((workspace / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def keep_clean_up(workspace: Path, done: CleanUp) -> None:
    """Keep what a clean-up did, whole or not at all."""
    write_whole(workspace / FILE, done.model_dump_json(indent=2))
