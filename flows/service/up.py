"""`lidcflow up`: what is started, in which order."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp

from flows.service.leftovers import WORKSPACE_MARK, kill_orphans
from flows.service.links import served_pages
from flows.service.lock import check_unserved, lock_workspace
from flows.service.place_checks import check_places, check_release
from flows.service.prefect_database import database_of, shrink
from flows.service.processes import tail
from flows.service.schedules import Deployment, scheduled
from flows.service.servers import (
    Addresses,
    addresses,
    check_ports,
    fork_server,
    log_folder,
    mlflow_server,
    poller,
    prefect_server,
    readers,
    reports_server,
    worker,
)
from flows.service.supervisor import ServiceFailed, ServiceListener, Supervisor, stop_on_signals
from flows.writable import require_places
from lidcflow.catalog.locks import relocate_tracking
from lidcflow.config import Config
from lidcflow.config.file import anchored

DEPLOY_LIMIT_S = 180.0
GUARDS_END_WITHIN_S = 30.0
"""Time for guards of an earlier `lidcflow up`: their grace period, and until what they kill has ended."""


@dataclass(frozen=True)
class Serving:
    """Served pages once everything runs; `doubt` states what the inbox waits for."""

    addresses: Addresses
    pages: dict[str, str]
    deployments: list[Deployment]
    paused: dict[str, bool]
    doubt: str | None = None


def run_services(config: Config, listener: ServiceListener, on_ready: Callable[[Serving], None]) -> None:
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
        If a schedule can't be read, or a source or target can't be used.
    ReleaseError
        If the inbox has no release to be read with, and no schedule makes one.
    ResourceError
        If the workspace is served already, can't be written or was moved to where it can't be, a port is in use, or a
        service does not start or keeps dying.
    """
    config = anchored(config)
    deployments = scheduled(config)
    where = addresses(config)
    supervisor = Supervisor(listener)
    check_unserved(config.workspace)
    kill_orphans({WORKSPACE_MARK: str(config.workspace.absolute())}, wait_for_guards_s=GUARDS_END_WITHIN_S)
    check_ports(config)
    check_places(config)
    require_places(config)
    relocate_tracking(config.workspace)
    doubt = check_release(config)
    with lock_workspace(config.workspace, where):
        try:
            with stop_on_signals(supervisor), private_folder(config.workspace) as folder, supervisor:
                paused = _start(config, supervisor, folder)
                on_ready(Serving(where, served_pages(config), deployments, paused, doubt))
                supervisor.watch()
        except KeyboardInterrupt:
            return


@contextmanager
def private_folder(workspace: Path) -> Iterator[Path]:
    """Yield a folder for sockets, which only this user can enter; not in the workspace, whose path may be too long.

    Its name is that of the workspace's last time, so that a service that was killed leaves no second one behind.
    """
    digest = sha256(str(workspace.absolute()).encode()).hexdigest()[:12]
    folder = Path(gettempdir()) / f"lidcflow-{os.getuid()}-{digest}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        folder = Path(mkdtemp(prefix="lidcflow-"))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    """Return whether a folder, and no link to one, belongs to this user and is closed to others."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _start(config: Config, supervisor: Supervisor, folder: Path) -> dict[str, bool]:
    """Start the servers, then what needs them; return which deployments are paused."""
    paused: dict[str, bool] = {}
    supervisor.start(prefect_server(config), before=lambda: shrink(database_of(config.prefect_home)))
    for server in (mlflow_server(config), reports_server(config), readers(config), fork_server(config, folder)):
        if server is not None:
            supervisor.start(server)
    supervisor.wait_until_healthy()
    working = worker(config, folder)
    supervisor.start(working, before=lambda: paused.update(_deploy(config, working.environment)))
    if polls := poller(config):
        supervisor.start(polls)
    supervisor.wait_until_healthy()
    return paused


def _deploy(config: Config, environment: Mapping[str, str]) -> dict[str, bool]:
    """Apply the deployments in a process of their own, with the worker's environment; see `flows.service.deploy`."""
    log = log_folder(config.workspace) / "deploy.log"
    with log.open("w", encoding="utf-8") as errors:
        job = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.service.deploy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
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
