"""The command that deploys flows and schedules to a Prefect server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, console, print_columns, print_json, print_line
from flows.cli.session import choose_server
from flows.environment import prepare
from flows.service.lock import is_same_server, served
from flows.service.profiles import check_profile
from flows.service.schedules import Deployment, scheduled
from lidcflow.config import Config
from lidcflow.errors import ResourceError

ProfileOption = Annotated[
    Literal["local", "cluster"],
    typer.Option(
        "--profile",
        help=(
            "local: everything runs on one machine; cluster: every configured place must be reachable from "
            "several machines."
        ),
    ),
]


def deploy(
    profile: ProfileOption = "local",
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Deploy the flows to the Prefect server of PREFECT_API_URL, or of a running `lidcflow up`. Research use only."""
    config = configured(config_file, workspace)
    doubts = check_profile(profile, config)
    deployments = scheduled(config)
    _choose_server(config)
    paused = _deployed(config)
    if as_json:
        print_json({"paused": paused, "doubts": doubts, "server": os.environ["PREFECT_API_URL"]})
    else:
        _print(deployments, paused, doubts)


def _choose_server(config: Config) -> None:
    choose_server(config)
    if "PREFECT_API_URL" not in os.environ:
        raise ResourceError(
            "Prefect server: PREFECT_API_URL must name one, got nothing, and no `lidcflow up` serves the workspace; "
            "set it as http://host:4200/api, or start `lidcflow up`, which deploys by itself"
        )
    prepare(config)


def _deployed(config: Config) -> dict[str, bool]:
    try:
        with console().status("deploying"):
            return lazy.deploy(config, polled=_is_served_here(config.workspace))
    except httpx.HTTPError as error:
        raise ResourceError(
            f"Prefect server {os.environ['PREFECT_API_URL']}: must take deployments, got {type(error).__name__}; start "
            "it, or check PREFECT_API_URL"
        ) from None


def _is_served_here(workspace: Path) -> bool:
    """Return whether the server is the one of a running `lidcflow up`, which polls the inbox itself."""
    serving = served(workspace)
    return serving is not None and is_same_server(os.environ["PREFECT_API_URL"], serving)


def _print(deployments: list[Deployment], paused: dict[str, bool], doubts: list[str]) -> None:
    rows = [
        (
            one.name,
            "; ".join(_occasions(one)),
            f"{one.work_pool.name}/{one.work_pool.work_queue_name}",
            _why_paused(one) if paused[one.name] else "",
        )
        for one in deployments
    ]
    print_columns(("deployment", "runs", "pool", "paused"), rows)
    for doubt in doubts:
        console().print(f"[yellow]look at this:[/] {doubt}", soft_wrap=True)
    print_line(f"Start a worker with `prefect worker start --pool {deployments[0].work_pool.name}`. {NOTICE}")


def _occasions(one: Deployment) -> list[str]:
    events = [f"on {event}" for trigger in one.triggers for event in trigger.expect]
    return [str(schedule) for schedule in one.schedules] + events or ["by hand"]


def _why_paused(one: Deployment) -> str:
    return f"{one.missing} must be set in lidcflow.toml" if one.missing else "by hand"
