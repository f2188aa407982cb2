"""What a flow shows on its page in Prefect besides its log: progress, tables, one event for each series."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.events import emit_event

from tasks.progress import Stage

UPDATE_EVERY_S = 2.0
"""An update is a request to the server, 10 to 20 ms; a series can take less than a second."""

MOST_ROWS = 500
"""The page of a table is one JSON document; the whole list is in the catalog."""


class ProgressArtifact:
    """A progress bar on the page of the run, fed by stages; attach it with `tasks.progress.listening`."""

    def __init__(self) -> None:
        self._bars: dict[Stage, tuple[UUID, float]] = {}

    def started(self, stage: Stage) -> None:
        """Make the bar."""
        bar = create_progress_artifact(0.0, key=f"{stage.name}-progress", description=f"{stage.name}: series done")
        self._bars[stage] = (bar, time.monotonic())

    def advanced(self, stage: Stage) -> None:
        """Move the bar, not more often than every `UPDATE_EVERY_S`."""
        bar, updated_s = self._bars[stage]
        if time.monotonic() - updated_s >= UPDATE_EVERY_S:
            update_progress_artifact(bar, _percent(stage))
            self._bars[stage] = (bar, time.monotonic())

    def finished(self, stage: Stage) -> None:
        """Leave the bar where the stage ended."""
        bar, _ = self._bars.pop(stage)
        update_progress_artifact(bar, _percent(stage))


def publish_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Put a table on the page of the run; without rows there is none.

    Parameters
    ----------
    key : str
        Lower case letters, digits and dashes; versions of one key are kept together.
    rows : sequence of mapping
        Column names and values; the first `MOST_ROWS` are shown.
    description : str
        What people read above it.
    """
    if rows:
        create_table_artifact([dict(row) for row in rows[:MOST_ROWS]], key=key, description=description)


def emit_series_event(what: str, series_instance_uid: str, **facts: Any) -> None:
    """Tell Prefect that something happened to a series; it is queued and sent beside the work (0.15 ms)."""
    emit_event(
        f"lidcflow.series.{what}",
        resource={"prefect.resource.id": f"lidcflow.series.{series_instance_uid}"},
        payload=facts,
    )


def _percent(stage: Stage) -> float:
    return min(100.0, 100.0 * stage.done / stage.total) if stage.total else 0.0
