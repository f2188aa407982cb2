"""The last and the next run of each flow, from Prefect's API."""

from datetime import datetime
from typing import Any

import httpx
from pydantic import BaseModel

from flows.service.prefect_api import prefect_api
from lidcflow.errors import ResourceError

LOOK_BACK = 50
"""Runs to look at for one that was not turned away because another one was under way."""

TURNED_AWAY = "Deployment concurrency limit"
STARTED = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
COMING = {"state": {"type": {"any_": ["SCHEDULED"]}}}


class RunStatus(BaseModel):
    """The last run of a flow, and the next one."""

    flow: str
    state: str | None = None
    started: datetime | None = None
    duration_s: float | None = None
    next: datetime | None = None


def last_runs(api_url: str, password: str | None) -> list[RunStatus]:
    """Return the last run of each flow, and when the next one is due.

    Raises
    ------
    ResourceError
        If the server does not answer.
    """
    try:
        with prefect_api(api_url, password) as client:
            flows = _filtered(client, "flows", sort="NAME_ASC")
            return [_run_status(client, flow["name"], flow["id"]) for flow in flows]
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect {api_url}: the server must answer, got {error!r}; see logs/prefect-server.log of the workspace"
        ) from None


def _run_status(client: httpx.Client, name: str, flow_id: str) -> RunStatus:
    last, due = _last(client, flow_id), _due(client, flow_id)
    if last is None:
        return RunStatus(flow=name, next=due)
    return RunStatus(
        flow=name,
        state=last["state_name"],
        started=last["start_time"],
        duration_s=round(last["estimated_run_time"], 1),
        next=due,
    )


def _last(client: httpx.Client, flow_id: str) -> dict[str, Any] | None:
    runs = _runs(client, flow_id, flow_runs=STARTED, sort="START_TIME_DESC", limit=LOOK_BACK)
    return next((run for run in runs if not _turned_away(run)), None)


def _turned_away(run: dict[str, Any]) -> bool:
    return ((run["state"] or {}).get("message") or "").startswith(TURNED_AWAY)


def _due(client: httpx.Client, flow_id: str) -> datetime | None:
    runs = _runs(client, flow_id, flow_runs=COMING, sort="EXPECTED_START_TIME_ASC", limit=1)
    return datetime.fromisoformat(runs[0]["expected_start_time"]) if runs else None


def _runs(client: httpx.Client, flow_id: str, **wanted: Any) -> list[dict[str, Any]]:
    return _filtered(client, "flow_runs", flows={"id": {"any_": [flow_id]}}, **wanted)


def _filtered(client: httpx.Client, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.post(f"{kind}/filter", json=wanted)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found
