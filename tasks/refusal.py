"""Turn any error of preprocessing into the reason for refusing a series; Prefect is not imported here."""

from __future__ import annotations

import traceback
from pathlib import Path

from lidcflow.errors import SeriesRefused


def refusal_of(uid: str, error: Exception) -> SeriesRefused:
    """Return the refusal of one series: the error itself, or one that names an unexpected error's type and place."""
    if isinstance(error, SeriesRefused):
        return error
    return SeriesRefused(
        "failed",
        f"series {uid}: must be preprocessed without an error, got {type(error).__name__} in {place_of_error(error)}; "
        "look at its files, or report this with the type and the place",
    )


def place_of_error(error: Exception) -> str:
    """Name the file and line that raised; the message is left out, for it may hold a path or a name."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "a worker"
