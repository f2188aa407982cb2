"""Events that others send to Prefect's server; the deployments' triggers wait for them."""

from __future__ import annotations

import uuid
from base64 import b64encode
from datetime import UTC, datetime

import httpx

from lidcflow.errors import ResourceError

STUDY_ARRIVED = "lidcflow.study.arrived"
ANSWER_WITHIN_S = 30.0


def send_event(api_url: str, event: str, password: str | None) -> None:
    """Tell Prefect's server that something happened; which study it was is for the flow to find out.

    Raises
    ------
    ResourceError
        If the server does not take it.
    """
    resource = {"prefect.resource.id": "lidcflow.inbox"}
    told = {"id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": resource}
    try:
        with httpx.Client(timeout=ANSWER_WITHIN_S, trust_env=False, headers=_authorization(password)) as client:
            headers = _csrf_headers(client, api_url)
            client.post(f"{api_url}/events", json=[told], headers=headers).raise_for_status()
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


def _authorization(password: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(password.encode()).decode()}"} if password else {}


def _csrf_headers(client: httpx.Client, api_url: str) -> dict[str, str]:
    """Ask for the token that every change must carry; none where the server's user turned that off."""
    name = str(uuid.uuid4())
    answer = client.get(f"{api_url}/csrf-token", params={"client": name})
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        return {}
    answer.raise_for_status()
    return {"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": str(answer.json()["token"])}
