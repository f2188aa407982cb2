"""Start a run of the deployment that reads the inbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType

from flows.service.run_queries import read_runs
from lidcflow.errors import ResourceError

DEPLOYMENT = "inbox/infer"
BEFORE_ITS_END = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED]


class Requested(NamedTuple):
    """A summary in a few words (empty if nothing was to be done), and whether a run is due or under way."""

    sentence: str
    under_way: bool


def request_run() -> Requested:
    """Start a run, unless one is due or under way, or the deployment is paused.

    Raises
    ------
    ResourceError
        If the Prefect server does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
            if deployment.paused:
                return Requested(f"a series waits, but {DEPLOYMENT} is paused in Prefect", under_way=False)
            if _is_due_or_under_way(client, deployment.id):
                return Requested("", under_way=True)
            run = client.create_flow_run_from_deployment(deployment.id, tags=["poller"])
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect server: must answer to start a run, got {type(error).__name__}; see logs/prefect-server.log of "
            "the workspace"
        ) from None
    return Requested(f"a series waits: run {run.name} was started", under_way=True)


def _is_due_or_under_way(client: SyncPrefectClient, deployment_id: UUID) -> bool:
    return bool(read_runs(client, deployment_id, states=BEFORE_ITS_END, due_before=datetime.now(UTC), limit=1))
