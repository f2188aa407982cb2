"""Pages worth opening on what `lidcflow up` serves, by what people read before them."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import httpx

from flows.service.servers import Addresses, addresses
from lidcflow.config import Config
from lidcflow.errors import LidcflowError
from tasks.tracking.place import Tracking
from tasks.tracking.releases import champion_version

WORKFLOW = "workflowType=machine_learning"
"""Without it MLflow's pages are those of language models."""

ANSWERS_WITHIN_S = 5.0


def served_pages(config: Config) -> dict[str, str]:
    """Return the addresses of the servers, and of the pages on them that people open.

    Parameters
    ----------
    config : Config
        Of the workspace that is served; the release in force and the experiment are looked up.

    Returns
    -------
    dict of str to str
        From what people read to the page.
    """
    where = addresses(config)
    return {
        "Prefect": where.prefect,
        "  runs": f"{where.prefect}/runs",
        "  deployments": f"{where.prefect}/deployments",
        "MLflow": f"{where.mlflow}/#/?{WORKFLOW}",
        "  release": release_page(where, config),
        "  trainings": trainings_page(where, config),
        "Reports": where.reports,
    }


def release_page(where: Addresses, config: Config) -> str:
    """Return MLflow's page of the release in force, or of all releases where none is."""
    tracking, version = Tracking.of(config), None
    with suppress(LidcflowError):
        version = champion_version(tracking)
    of_version = "" if version is None else f"/versions/{version}"
    return f"{where.mlflow}/#/models/{quote(tracking.registry_name, safe='')}{of_version}?{WORKFLOW}"


def trainings_page(where: Addresses, config: Config) -> str:
    """Return MLflow's page of the trainings, or of all experiments where nothing was trained or nothing answers."""
    asked = f"{where.mlflow}/api/2.0/mlflow/experiments/get-by-name"
    with suppress(httpx.HTTPError, ValueError, KeyError):
        answer = httpx.get(
            asked, params={"experiment_name": Tracking.of(config).experiment}, timeout=ANSWERS_WITHIN_S
        ).raise_for_status()
        return f"{where.mlflow}/#/experiments/{answer.json()['experiment']['experiment_id']}/runs?{WORKFLOW}"
    return f"{where.mlflow}/#/experiments?{WORKFLOW}"
