"""One `lidcflow up` per workspace: a locked file, by which other commands find the servers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.proxies import LOOPBACK
from flows.service.servers import Addresses
from lidcflow.catalog.locks import SERVED_FILE
from lidcflow.errors import ResourceError
from lidcflow.file_lock import try_lock

LOCK_FILE = SERVED_FILE
PATIENCE_S = 1.0


class Served(BaseModel):
    """Facts that a running `lidcflow up` records about itself."""

    model_config = ConfigDict(frozen=True)

    pid: int
    since: datetime
    prefect_url: str
    mlflow_url: str
    reports_url: str

    @property
    def prefect_api_url(self) -> str:
        """Address that ``PREFECT_API_URL`` takes."""
        return f"{self.prefect_url}/api"


@contextmanager
def lock_workspace(workspace: Path, where: Addresses) -> Iterator[Served]:
    """Hold the workspace; the lock goes with the process, however that ends.

    Raises
    ------
    ResourceError
        If another process holds it, or the workspace can't be written.
    """
    urls = {"prefect_url": where.prefect, "mlflow_url": where.mlflow, "reports_url": where.reports}
    served = Served(pid=os.getpid(), since=datetime.now(UTC), **urls)
    with _opened(workspace) as stream:
        if not try_lock(stream.fileno(), patience_s=PATIENCE_S):  # a reader may hold it for a moment
            raise _taken(workspace)
        stream.truncate(0)
        stream.write(served.model_dump_json())
        stream.flush()
        try:
            yield served
        finally:
            stream.truncate(0)


def check_unserved(workspace: Path) -> None:
    """Make sure, before anything is written, that nobody holds the workspace.

    Raises
    ------
    ResourceError
        If a `lidcflow up` serves it.
    """
    if served(workspace):
        raise _taken(workspace)


def served(workspace: Path) -> Served | None:
    """Return what serves the workspace now, or None."""
    try:
        with open(workspace / LOCK_FILE, encoding="utf-8") as stream:
            return None if try_lock(stream.fileno(), shared=True) else Served.model_validate_json(stream.read())
    except (OSError, ValidationError):
        return None


def is_same_server(api_url: str, service: Served) -> bool:
    """Return whether an address of Prefect's API is that of a `lidcflow up`, by whichever name of loopback.

    No other server gets the password.
    """
    given, own = urlsplit(api_url), urlsplit(service.prefect_api_url)
    try:
        same_port = given.port == own.port
    except ValueError:
        return False
    return same_port and (given.hostname == own.hostname or {given.hostname, own.hostname} <= set(LOOPBACK))


def _opened(workspace: Path) -> IO[str]:
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        return open(workspace / LOCK_FILE, "a", encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"workspace {workspace}: must be writable, got {error.strerror}; choose another one with --workspace"
        ) from None


def _taken(workspace: Path) -> ResourceError:
    other = served(workspace)
    who = f"process {other.pid} at {other.prefect_url}" if other else "another process"
    return ResourceError(
        f"workspace {workspace}: only one `lidcflow up` may serve it, got one already ({who}); "
        "stop that one, or choose another workspace with --workspace"
    )
