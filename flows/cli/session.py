"""Set up a command's surroundings of a flow: environment, progress, a Prefect server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

from httpx import HTTPStatusError, TransportError

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.environment import prepare
from flows.service.lock import is_same_server, served
from flows.service.named_server import check_named_server, named_server
from flows.service.password import choose_temporary_password, use_password
from flows.writable import require_places
from lidcflow.config import Config
from lidcflow.errors import ResourceError
from lidcflow.garbage import uncollected

LEAVE_WITHIN_S = 5.0
"""Time to end for a command whose Prefect server is gone."""

UNREACHABLE = "Failed to reach API"
"""Prefect's message when the first request of a run finds no server."""


@contextmanager
def flow_session(
    config: Config, flow: str | None = None, *, ahead: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Run flows in the block, with their progress on the terminal.

    Name flows as `flows.cli.lazy.NAME` inside the block, which imports them there: Prefect reads the environment once,
    when it is imported. The runs go to the server that ``PREFECT_API_URL`` names, else to the one of a running
    `lidcflow up`, else to a temporary one that starts with the block and ends with the process.

    Parameters
    ----------
    config : Config
        The workspace keeps Prefect's database.
    flow : str, optional
        Name in `flows.cli.lazy` of the flow that the block runs: it is imported while a temporary server starts, which
        takes about as long.
    ahead : callable
        Called when the environment is prepared, before anything is imported: starts what works in the background.

    Raises
    ------
    ResourceError
        If the workspace or the folder for temporary files can't be written or is full, the server that is named
        does not answer, or the temporary one does not start.

    Examples
    --------
    ::

        with flow_session(config, "preprocess"):
            report = lazy.preprocess(source, config)
    """
    choose_server(config)
    require_places(config)
    prepare(config)
    ahead()
    signal.signal(signal.SIGTERM, _leave)
    with shown_progress("starting Prefect"), _ensured_server(flow), _served_throughout():
        yield


def choose_server(config: Config) -> None:
    """Point Prefect at the server of a running `lidcflow up`, unless the environment names another server."""
    serving = served(config.workspace)
    if serving and is_same_server(os.environ.setdefault("PREFECT_API_URL", serving.prefect_api_url), serving):
        use_password(config.prefect_home)


@contextmanager
def _ensured_server(flow: str | None) -> Iterator[None]:
    with uncollected():
        url = named_server()  # imports Prefect
    if url:
        check_named_server(url)
        yield
        return
    choose_temporary_password()
    with uncollected():
        started = lazy.temporary_server  # imports Prefect's server
    with started(lambda: _import_flow(flow)):
        yield


def _import_flow(name: str | None) -> None:
    with uncollected():
        if name:
            getattr(lazy, name)


@contextmanager
def _served_throughout() -> Iterator[None]:
    """Raise one sentence if the server goes away or fails; Prefect has retried for a minute by then.

    At exit it would go on for minutes to deliver the events of each series.
    """
    try:
        yield
    except TransportError as error:
        raise _failing(type(error).__name__, "start it and run again") from None
    except HTTPStatusError as error:
        raise _failing(f"status {error.response.status_code}", "look at its log, and run again") from None
    except RuntimeError as error:
        if UNREACHABLE not in str(error):
            raise
        raise _failing("no answer", "start it and run again") from None


def _failing(what: str, way_out: str) -> ResourceError:
    leaving = Timer(LEAVE_WITHIN_S, os._exit, [1])
    leaving.daemon = True
    leaving.start()
    return ResourceError(
        f"Prefect server: must stay up while a flow runs, got {what}; {way_out}, finished series are kept"
    )


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End by way of the exit handlers, which stop the temporary server."""
    sys.exit(128 + signal.SIGTERM)
