"""What a command sets up around a flow: environment, progress, a Prefect server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

from flows.cli.progress import shown_progress
from flows.environment import prepare
from flows.leash import leash
from flows.service.lock import is_same_server, served
from flows.service.password import choose_temporary_password, use_password
from lidcflow.config import Config
from lidcflow.errors import ResourceError
from tasks.interrupts import shielding_children

LEAVE_WITHIN_S = 5.0
"""Time to end for a command whose Prefect server is gone."""


@contextmanager
def flow_session(config: Config) -> Iterator[None]:
    """Run flows in the block, with their progress on the terminal.

    Import flows inside the block: Prefect reads the environment once, when it is imported. The runs go to the
    server that ``PREFECT_API_URL`` names, else to the one of a running `lidcflow up`, else to a temporary one that
    starts with the block and ends with the process.

    Parameters
    ----------
    config : Config
        The workspace keeps Prefect's database.

    Raises
    ------
    ResourceError
        If the temporary server does not start.

    Examples
    --------
    ::

        with flow_session(config):
            from flows.preprocess import preprocess

            report = preprocess(source, config)
    """
    choose_server(config)
    prepare(config)
    signal.signal(signal.SIGTERM, _leave)
    with shown_progress("starting Prefect"):
        _ensure_server()
        with _served_throughout():
            yield


def choose_server(config: Config) -> None:
    """Let Prefect use the server of a running `lidcflow up`, unless the environment names another."""
    serving = served(config)
    if serving and is_same_server(os.environ.setdefault("PREFECT_API_URL", serving.prefect_api_url), serving):
        use_password(config)


def _ensure_server() -> None:
    from prefect.settings import get_current_settings

    if get_current_settings().api.url:
        return
    from flows.service.temporary_server import TemporaryServer

    choose_temporary_password()
    try:
        with shielding_children():
            server = TemporaryServer()
            server.start()
            if server.server_process:
                leash(server.server_process.pid)
    except RuntimeError:
        raise ResourceError(
            f"Prefect's temporary server: must start within "
            f"{get_current_settings().server.ephemeral.startup_timeout_seconds} s, but did not; run again when the "
            "machine is less busy, or set PREFECT_API_URL to a running server"
        ) from None


@contextmanager
def _served_throughout() -> Iterator[None]:
    """Say in one sentence that the server went away; Prefect has asked it again for a minute by then.

    At exit it would go on for minutes to deliver the events of each series.
    """
    from httpx import TransportError

    try:
        yield
    except TransportError as error:
        leaving = Timer(LEAVE_WITHIN_S, os._exit, [1])
        leaving.daemon = True
        leaving.start()
        raise ResourceError(
            f"Prefect server: must stay up while a flow runs, got {type(error).__name__}; start it and run again, "
            "finished series are kept"
        ) from None


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End by way of the exit handlers, which stop the temporary server."""
    sys.exit(128 + signal.SIGTERM)
