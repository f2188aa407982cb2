"""Notifications that come during a round: Prefect cancels the runs that they start, and one run makes up for them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

from flows.service.run_queries import read_runs

if TYPE_CHECKING:
    from prefect import Flow, State
    from prefect.client.schemas.objects import FlowRun

COMPLETE = {"complete": True}
"""Parameters of a run that a notification starts."""

LIMIT_REACHED = "concurrency limit"
"""Words in Prefect's message about a run that it cancels because another one is in progress."""


def run_again_if_notified(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001
    """Start one run for all notifications that came during a deployment's run; a hook of its flow, called at its end.

    The end of a run frees its place: what comes later has a run of its own.
    """
    if flow_run.deployment_id is None or flow_run.expected_start_time is None:
        return
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        if any(is_lost_notification(one) for one in _cancelled_since(client, flow_run)):
            client.create_flow_run_from_deployment(flow_run.deployment_id, parameters=dict(COMPLETE), tags=["notified"])


def is_lost_notification(run: FlowRun) -> bool:
    """Return whether a cancelled run was started by a notification, and cancelled for another one under way."""
    why = (run.state and run.state.message) or ""
    return all(run.parameters.get(key) == value for key, value in COMPLETE.items()) and LIMIT_REACHED in why


def _cancelled_since(client: SyncPrefectClient, run: FlowRun) -> list[FlowRun]:
    """Return the runs of a deployment that were due after one of them and were cancelled."""
    return read_runs(client, run.deployment_id, states=[StateType.CANCELLED], due_after=run.expected_start_time)
