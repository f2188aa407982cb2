"""Events that others send to Prefect's server; the deployments' triggers wait for them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import httpx

from flows.service.prefect_api import prefect_api
from lidcflow.errors import ResourceError

STUDY_ARRIVED = "lidcflow.study.arrived"


def send_event(api_url: str, event: str, password: str | None) -> None:
    """Notify Prefect's server that something happened; the flow finds out which study it was.

    Raises
    ------
    ResourceError
        If the server does not take it.
    """
    resource = {"prefect.resource.id": "lidcflow.inbox"}
    told = {"id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": resource}
    try:
        with prefect_api(api_url, password) as client:
            client.post("events", json=[told]).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise ResourceError(
            f"Prefect {api_url}: the server must take an event, got HTTP {error.response.status_code}; set "
            "PREFECT_API_AUTH_STRING if `lidcflow up` was started with it, or see its log"
        ) from None
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect {api_url}: the server must take an event, got {type(error).__name__}; see "
            "logs/prefect-server.log of the workspace"
        ) from None
