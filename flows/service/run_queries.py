"""Ask a Prefect server for the runs of deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType


def read_runs(
    client: SyncPrefectClient,
    deployment: UUID | str | None = None,
    *,
    states: Sequence[StateType] = (),
    other_than: Sequence[StateType] = (),
    due_before: datetime | None = None,
    due_after: datetime | None = None,
    begun_after: datetime | None = None,
    limit: int | None = None,
) -> list[FlowRun]:
    """Return runs of deployments that meet all that is given.

    Parameters
    ----------
    client : SyncPrefectClient
        Of the server.
    deployment : UUID or str, optional
        ID or name of a deployment; by default the runs of any deployment count.
    states, other_than : sequence of StateType
        States that a run must be in, or must not be in.
    due_before, due_after : datetime, optional
        Limits of the time for which a run was planned.
    begun_after : datetime, optional
        Limit of the time at which it began.
    limit : int, optional
        Number of runs to return at most; by default that of the server.
    """
    runs = FlowRunFilter.model_validate(
        {
            "deployment_id": {"is_null_": False},
            "state": {"type": _given(any_=list(states) or None, not_any_=list(other_than) or None)},
            "expected_start_time": _given(before_=due_before, after_=due_after),
            "start_time": _given(after_=begun_after) if begun_after else None,
        }
    )
    return client.read_flow_runs(deployment_filter=_filter_of(deployment), flow_run_filter=runs, limit=limit)


def _filter_of(deployment: UUID | str | None) -> DeploymentFilter | None:
    if deployment is None:
        return None
    key = "id" if isinstance(deployment, UUID) else "name"
    return DeploymentFilter.model_validate({key: {"any_": [deployment]}})


def _given(**limits: Any) -> dict[str, Any]:
    return {name: limit for name, limit in limits.items() if limit is not None}
