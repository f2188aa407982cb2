"""Contents of a flow's page in Prefect besides its log: progress, tables, one event for each series."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any, cast
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.events import emit_event

from tasks.progress import Stage
from tasks.run_page import run_log

UPDATE_EVERY_S = 2.0
"""An update is a request to the server, 10 to 20 ms; a series can take less than a second."""

LAST_UPDATE_WITHIN_S = 5.0
"""Time for the bar to reach where its stage ended."""

MOST_ROWS = 500
"""The page of a table is one JSON document; the whole list is in the catalog."""


class ProgressArtifact:
    """A progress bar on the page of the run and a line in its log; attach it to stages with `tasks.progress.listening`.

    It moves in the background: a server that goes away is asked again for a minute, and a run that feeds a cluster
    can't wait for that.
    """

    def __init__(self) -> None:
        self._bars: dict[Stage, tuple[UUID, float]] = {}
        self._began_s: dict[Stage, float] = {}
        self._moving: Thread | None = None

    def started(self, stage: Stage) -> None:
        """Make the bar."""
        # Prefect's hint is that of both its calls, the one in a coroutine too; here it is the plain one.
        bar = cast(
            UUID, create_progress_artifact(0.0, key=f"{stage.name}-progress", description=f"{stage.name}: series done")
        )
        self._bars[stage] = (bar, time.monotonic())
        self._began_s[stage] = time.monotonic()

    def advanced(self, stage: Stage) -> None:
        """Move the bar, not more often than every `UPDATE_EVERY_S`."""
        bar, updated_s = self._bars[stage]
        if time.monotonic() - updated_s >= UPDATE_EVERY_S and not self._is_moving():
            self._move(bar, stage)
            self._bars[stage] = (bar, time.monotonic())

    def finished(self, stage: Stage) -> None:
        """Leave the bar where the stage ended, and a line in the log."""
        bar, _ = self._bars.pop(stage)
        of_all = "" if stage.total is None else f" of {stage.total}"
        run_log().info(f"{stage.name}: {stage.done}{of_all} in {time.monotonic() - self._began_s.pop(stage):.1f} s")
        if self._moving:
            self._moving.join(LAST_UPDATE_WITHIN_S)
        if not self._is_moving():
            self._move(bar, stage).join(LAST_UPDATE_WITHIN_S)

    def _is_moving(self) -> bool:
        return self._moving is not None and self._moving.is_alive()

    def _move(self, bar: UUID, stage: Stage) -> Thread:
        self._moving = Thread(target=_update, args=(bar, _percent(stage)), daemon=True)
        self._moving.start()
        return self._moving


def _update(bar: UUID, percent: float) -> None:
    """Move a bar; one that can't be moved is not worth the run."""
    with suppress(HTTPError), get_client(sync_client=True) as client:
        client.update_artifact(bar, ArtifactUpdate(data=percent))


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


def publish_text(key: str, markdown: str, description: str) -> None:
    """Put a text on the page of the run.

    Parameters
    ----------
    key : str
        Lower case letters, digits and dashes; versions of one key are kept together.
    markdown, description : str
        The text, and what it is.
    """
    create_markdown_artifact(markdown, key=key, description=description)


def emit_series_event(what: str, series_instance_uid: str, **facts: Any) -> None:
    """Notify Prefect that something happened to a series; it is queued and sent beside the work (0.15 ms)."""
    emit_event(
        f"lidcflow.series.{what}",
        resource={"prefect.resource.id": f"lidcflow.series.{series_instance_uid}"},
        payload=facts,
    )


def _percent(stage: Stage) -> float:
    return min(100.0, 100.0 * stage.done / stage.total) if stage.total else 0.0
