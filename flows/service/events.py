"""Events that others send to Prefect's server; the deployments' triggers wait for them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import httpx

from lidcflow.errors import ResourceError

STUDY_ARRIVED = "lidcflow.study.arrived"
ANSWER_WITHIN_S = 30.0


def send_event(api_url: str, event: str) -> None:
    """Tell Prefect's server that something happened; which study it was is for the flow to find out.

    Raises
    ------
    ResourceError
        If the server does not take it.
    """
    resource = {"prefect.resource.id": "lidcflow.inbox"}
    told = {"id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": resource}
    try:
        httpx.post(f"{api_url}/events", json=[told], timeout=ANSWER_WITHIN_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect {api_url}: the server must take an event, got {type(error).__name__}; see "
            "logs/prefect-server.log of the workspace"
        ) from None
