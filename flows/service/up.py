"""`lidcflow up`: what is started, in which order."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from flows.service.lock import check_unserved, claim
from flows.service.processes import tail
from flows.service.schedules import Deployment, scheduled
from flows.service.servers import (
    Addresses,
    addresses,
    check_ports,
    environment,
    log_folder,
    mlflow_server,
    prefect_server,
    readers,
    reports_server,
    worker,
)
from flows.service.supervisor import Listener, ServiceFailed, Supervisor, stop_on_signals
from lidcflow.config import Config
from lidcflow.config_file import anchored
from lidcflow.store.turns import settle

DEPLOY_LIMIT_S = 180.0


@dataclass(frozen=True)
class Serving:
    """What is served once everything runs."""

    addresses: Addresses
    deployments: list[Deployment]
    paused: dict[str, bool]


def serve(config: Config, listener: Listener, on_ready: Callable[[Serving], None]) -> None:
    """Run the servers, the worker and the schedules until a signal; leave no process behind.

    Parameters
    ----------
    config : Config
        Relative paths are taken from the working folder.
    listener : callable
        Called with the name of a service and its state.
    on_ready : callable
        Called once, when scheduled runs can start.

    Raises
    ------
    ConfigError
        If a schedule can't be read.
    ResourceError
        If the workspace is served already or was moved and can't be written, a port is in use, or a service does not
        start or keeps dying.
    """
    config = anchored(config)
    deployments = scheduled(config)
    where = addresses(config)
    supervisor = Supervisor(listener)
    check_unserved(config)
    check_ports(config)
    settle(config.workspace)
    with claim(config, where):
        try:
            with stop_on_signals(supervisor), supervisor:
                paused = _start(config, supervisor)
                on_ready(Serving(where, deployments, paused))
                supervisor.watch()
        except KeyboardInterrupt:
            return


def _start(config: Config, supervisor: Supervisor) -> dict[str, bool]:
    """Start the servers, then what needs them; return which deployments are paused."""
    paused: dict[str, bool] = {}
    for server in (prefect_server(config), mlflow_server(config), reports_server(config), readers(config)):
        if server is not None:
            supervisor.start(server)
    supervisor.wait_until_healthy()
    supervisor.start(worker(config), before=lambda: paused.update(_deploy(config)))
    supervisor.wait_until_healthy()
    return paused


def _deploy(config: Config) -> dict[str, bool]:
    """Apply the deployments in a process of their own; see `flows.service.deploy`."""
    log = log_folder(config) / "deploy.log"
    with log.open("w", encoding="utf-8") as errors:
        job = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.service.deploy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(config),
            start_new_session=True,
        )
        answer = _answer(job, config.model_dump_json())
    if job.returncode:
        raise ServiceFailed(
            f"the deployments must reach the Prefect server, got exit code {job.returncode}; see {log}", tail(log)
        )
    return dict(json.loads(answer))


def _answer(job: subprocess.Popen[str], question: str) -> str:
    """Return what a job writes; kill it when it takes too long or we are to stop."""
    try:
        return job.communicate(question, DEPLOY_LIMIT_S)[0]
    except BaseException as error:
        job.kill()
        job.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            return ""
        raise
