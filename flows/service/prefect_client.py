"""Ask a Prefect server whether it is one, by Prefect's own client.

Importing this module imports Prefect.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import httpx
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings


def ask_server(timeout_s: float) -> None:
    """Ask whether the server is up, and for its version, which requires the password.

    Raises
    ------
    httpx.HTTPError
        If it does not answer, or refuses.
    ValueError
        If its answers are not those of a Prefect API.
    """
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings={"timeout": timeout_s})
        with closing(client._client):  # entering the client itself ends in a traceback where nothing answers
            _json(client.request("GET", "/health"))
            if client.server_type is ServerType.CLOUD:
                return
            if not isinstance(_json(client.request("GET", "/admin/version")), str):
                raise ValueError("a version must be text")


def _json(response: httpx.Response) -> Any:
    if "json" not in response.headers.get("Content-Type", ""):
        raise ValueError("an answer of Prefect's API must be JSON")
    return response.json()
