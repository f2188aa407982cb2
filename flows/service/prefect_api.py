"""Requests to Prefect's API over HTTP: its own client takes 1.3 s of CPU to import."""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

ANSWER_WITHIN_S = 30.0


@contextmanager
def prefect_api(api_url: str, password: str | None) -> Iterator[httpx.Client]:
    """Open a client whose requests are relative to the API, such as ``flows/filter``.

    Raises
    ------
    httpx.HTTPError
        If the server does not answer, or refuses the password.
    """
    headers = _authorization(password)
    with httpx.Client(base_url=f"{api_url}/", timeout=ANSWER_WITHIN_S, trust_env=False, headers=headers) as client:
        client.headers.update(_csrf_headers(client))
        yield client


def _authorization(password: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(password.encode()).decode()}"} if password else {}


def _csrf_headers(client: httpx.Client) -> dict[str, str]:
    """Return the token that every POST must carry; none where the server's user turned that off."""
    name = str(uuid.uuid4())
    answer = client.get("csrf-token", params={"client": name})
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        return {}
    answer.raise_for_status()
    return {"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": str(answer.json()["token"])}
