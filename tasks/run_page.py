"""Name and tag runs on Prefect's pages, and write lines into their log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from lidcflow.config import Config

LOGGER = "lidcflow"
"""Name of the logger of what runs outside of any run."""


def name_run(name: str, config: Config, *tags: str) -> None:
    """Name the flow run in progress, and tag it with its flow, place and pool; outside of a run, do nothing.

    A server that does not answer is not worth the run.

    Parameters
    ----------
    name : str
        What the run does, with counts: no path and nothing that may name a patient.
    config : Config
        Its cluster has the place.
    *tags : str
        Further tags.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        return
    named = {*context.flow_run.tags, *_tags_of(context.flow_run, context.flow.name, config), *tags}
    with suppress(HTTPError), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, name=name, tags=sorted(named))
    context.flow_run.name = name  # by which log lines from now on call the run


def sector_tag(sector: int) -> str:
    """Return the tag of what is done for one sector.

    Examples
    --------
    >>> sector_tag(3)
    'sector 3'
    """
    return f"sector {sector}"


def run_log() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """Return the log of the run in progress, which its page shows; outside of a run, an ordinary one."""
    with suppress(MissingContextError):
        return get_run_logger()
    return logging.getLogger(LOGGER)


def _tags_of(run: FlowRun, flow: str, config: Config) -> Iterator[str]:
    yield f"stage {flow}"
    yield f"place {config.cluster.place}"
    if run.work_pool_name:
        yield f"pool {run.work_pool_name}"
