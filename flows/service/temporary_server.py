"""The Prefect server that a command starts for itself: it ends with the command, however that one goes."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import httpx
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from flows.proxies import LOOPBACK
from flows.service.processes import rotate, tail
from lidcflow.errors import ResourceError
from tasks.cluster.interrupts import shielding_children

GRACE_S = 5.0
KILLED_WITHIN_S = 15.0
POLL_S = 0.1
ASK_WITHIN_S = 5.0
PORT_TAKEN = 3
"""Exit code of uvicorn when another process was faster to take the port."""

HOST = LOOPBACK[0]
LOG = "temporary-server.log"
API_URL = "PREFECT_API_URL"

_APPLICATION = "flows.service.prefect_app:temporary"
_OWN_FOLDER = str(Path(__file__).parents[2])
"""Without it uvicorn imports from the working folder first, where there may be another package called flows."""


class TemporaryServer:
    """Prefect's own temporary server below a guard (`flows.service.guard`).

    Prefect stops its server by an exit handler, which a killed command never reaches. The guard holds a pipe to this
    process from its first instruction on, so that there is no moment in which a kill leaves the server behind. It is
    no subclass of Prefect's `SubprocessASGIServer`: to import that is to import the server, 1.5 s of CPU before the
    server's own process begins to.
    """

    def __init__(self) -> None:
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        """Its address, which `PREFECT_API_URL` names."""
        return f"http://{HOST}:{self._port}/api"

    def start(self, *, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Start the server, call `meanwhile`, and wait until the server answers.

        Raises
        ------
        ResourceError
            If it ends, or does not answer in time; the sentence names its log.
        """
        if self._process:
            return
        limit_s = get_current_settings().server.ephemeral.startup_timeout_seconds
        atexit.register(self.stop)
        try:
            self._launch()
            meanwhile()
            self._wait_until_it_answers(limit_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close the pipe, so that the guard ends the server with a grace period, and end the guard if it does not."""
        process, self._process = self._process, None
        if not process:
            return
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S + KILLED_WITHIN_S)
        process.kill()
        process.wait()

    def _launch(self) -> None:
        self._port = _free_port()
        self._process = self._run_uvicorn_command()

    def _wait_until_it_answers(self, limit_s: float) -> None:
        deadline_s = time.monotonic() + limit_s
        with httpx.Client(trust_env=False, timeout=ASK_WITHIN_S) as client:
            while not self._answers(client):
                ended = self._process.poll() if self._process else 1
                if ended == PORT_TAKEN:
                    self._launch()
                elif ended is not None:
                    raise _failed(f"stay up, got exit code {ended} ({_last_line(_log())})", f"see {_log()}")
                if time.monotonic() > deadline_s:
                    raise _failed(
                        f"start within {limit_s:.0f} s, but did not", "run again when the machine is less busy"
                    )
                time.sleep(POLL_S)

    def _answers(self, client: httpx.Client) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return client.get(f"{self.api_url}/health").is_success
        return False

    def _run_uvicorn_command(self) -> subprocess.Popen[bytes]:
        guard = [sys.executable, "-P", "-m", "flows.service.guard", str(GRACE_S), "SIGTERM"]
        with _opened_log() as log, shielding_children():
            return subprocess.Popen(
                [*guard, *self._server_command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )

    def _server_command(self) -> list[str]:
        """Return the command that Prefect itself starts, with the application of `flows.service.prefect_app`."""
        listening = ("--host", HOST, "--port", str(self._port), "--log-level", "error", "--lifespan", "on")
        return [sys.executable, "-P", "-m", "uvicorn", "--app-dir", _OWN_FOLDER, "--factory", _APPLICATION, *listening]


@contextlib.contextmanager
def temporary_server(meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Start the temporary server of this process, which it and all processes that it starts use in the block.

    Without its address in the environment, each Dask worker that reports a task would start a server of its own. The
    server itself runs until this process ends: the events of the last runs go there.

    Parameters
    ----------
    meanwhile : callable
        Called while the server starts; it can't run a flow, which needs the server.

    Raises
    ------
    ResourceError
        If it does not start.
    """
    refresh_global_settings_context()  # Prefect has read the environment before the password stood there
    server = _of_this_process()
    server.start(meanwhile=meanwhile)
    os.environ[API_URL] = server.api_url
    refresh_global_settings_context()
    try:
        yield
    finally:
        del os.environ[API_URL]
        refresh_global_settings_context()


@cache
def _of_this_process() -> TemporaryServer:
    return TemporaryServer()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    """Return the environment in which Prefect's server serves one process, and no pages."""
    ephemeral = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return {**os.environ, **ephemeral, **get_current_settings().to_environment_variables(exclude_unset=True)}


def _log() -> Path:
    return get_current_settings().home / LOG


def _opened_log() -> IO[bytes]:
    rotate(_log())
    return _log().open("ab")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in tail(log) if line.strip()]
    return lines[-1][:200] if lines else "no output"


def _failed(what: str, way_out: str) -> ResourceError:
    return ResourceError(
        f"Prefect's temporary server: must {what}; {way_out}, or set PREFECT_API_URL to a running server"
    )
