"""The last check whether to train again, as the workspace keeps it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lidcflow.files import write_whole
from lidcflow.stats.estimate import Record

FILE = "retraining.json"


Outcome = Literal["not-due", "reused", "promoted", "refused", "failed"]


class Failure(Record):
    """A training that failed: when, the type of its error, and the digest of what it was about."""

    at: datetime
    error: str
    inputs: str


class RetrainingCheck(Record):
    """The last check, as the workspace keeps it.

    Parameters
    ----------
    checked : datetime
        When.
    outcome : str
        What it came to.
    why : str
        A sentence.
    version : int, optional
        The release that was made, or found.
    failure : Failure, optional
        The last training, if it failed.
    """

    checked: datetime
    outcome: Outcome
    why: str
    version: int | None = None
    failure: Failure | None = None


def last_retraining_check(workspace: Path) -> RetrainingCheck | None:
    """Return the last check of a workspace, if there was one."""
    try:
        return RetrainingCheck.model_validate_json((workspace / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def keep_check(workspace: Path, check: RetrainingCheck) -> None:
    """Keep a check, whole or not at all."""
    workspace.mkdir(parents=True, exist_ok=True)
    write_whole(workspace / FILE, check.model_dump_json(indent=2))
