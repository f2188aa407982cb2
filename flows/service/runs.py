"""The last and the next run of each flow, from Prefect's API."""

from datetime import datetime

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterId, FlowRunFilter, FlowRunFilterState
from prefect.client.schemas.filters import FlowRunFilterStateType as StateTypeFilter
from prefect.client.schemas.objects import Flow, FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from flows.service.status import RunStatus
from lidcflow.errors import ResourceError

LOOK_BACK = 50
"""Runs to look at for one that was not turned away because another one was under way."""

TURNED_AWAY = "Deployment concurrency limit"
STARTED = FlowRunFilter(state=FlowRunFilterState(type=StateTypeFilter(not_any_=[StateType.SCHEDULED])))
COMING = FlowRunFilter(state=FlowRunFilterState(type=StateTypeFilter(any_=[StateType.SCHEDULED])))


def last_runs(api_url: str, password: str | None) -> list[RunStatus]:
    """Return the last run of each flow, and when the next one is due.

    Raises
    ------
    ResourceError
        If the server does not answer.
    """
    try:
        with SyncPrefectClient(api_url, auth_string=password) as client:
            return [_run_status(client, flow) for flow in sorted(client.read_flows(), key=lambda flow: flow.name)]
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect {api_url}: the server must answer, got {error!r}; see logs/prefect-server.log of the workspace"
        ) from None


def _run_status(client: SyncPrefectClient, flow: Flow) -> RunStatus:
    last, due = _last(client, flow), _due(client, flow)
    if last is None:
        return RunStatus(flow=flow.name, next=due)
    return RunStatus(
        flow=flow.name,
        state=last.state_name,
        started=last.start_time,
        duration_s=round(last.estimated_run_time.total_seconds(), 1),
        next=due,
    )


def _last(client: SyncPrefectClient, flow: Flow) -> FlowRun | None:
    runs = client.read_flow_runs(
        flow_filter=_only(flow), flow_run_filter=STARTED, sort=FlowRunSort.START_TIME_DESC, limit=LOOK_BACK
    )
    return next((run for run in runs if not _turned_away(run)), None)


def _turned_away(run: FlowRun) -> bool:
    return run.state is not None and (run.state.message or "").startswith(TURNED_AWAY)


def _due(client: SyncPrefectClient, flow: Flow) -> datetime | None:
    runs = client.read_flow_runs(
        flow_filter=_only(flow), flow_run_filter=COMING, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=1
    )
    return runs[0].expected_start_time if runs else None


def _only(flow: Flow) -> FlowFilter:
    return FlowFilter(id=FlowFilterId(any_=[flow.id]))
