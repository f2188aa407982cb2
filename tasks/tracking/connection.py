"""The connection to MLflow, and its errors."""

from __future__ import annotations

import functools
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service import utils as mlflow_places
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.rest_utils import http_request
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from lidcflow.catalog.locks import relocate_tracking
from lidcflow.config.validators import without_credentials, without_passwords
from lidcflow.errors import ResourceError, TrackingUnavailable
from tasks.tracking.place import EXPERIMENTS
from tasks.tracking.place import Tracking as Tracking
from tasks.tracking.place import is_there as is_there
from tasks.tracking.place import local_path as local_path

ANSWER_TIMEOUT_S = 10
DATABASE_TRIES = 7
"""Tries of MLflow to open its database; it waits 12 s in all between them, and 102 s with the 10 of its default."""

BROKEN = 500
"""Status from which a server, or a proxy before it, does not work; lower ones are MLflow's own."""

_NOT_REACHED = re.compile(r"failed with (timeout )?exception|too many 50\d|error code 50[234]")
"""Messages of MLflow's client when a server did not answer, or the one before it could not reach it."""

_UNWRITABLE = re.compile(r"disk is full|No space left|readonly database|disk I/O error|unable to open database file")
"""Messages of SQLite and PostgreSQL when the disk of MLflow's database cannot be written."""

_DELETED = re.compile(r"The (?P<what>run|experiment) (?P<id>\S+) must be in the 'active' state")
"""Message of MLflow for an object that was deleted on its page, from where it can be restored."""

EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    MLFLOW_RUN_NOTE: "Chest CT: a run for each training, with one run for each sector below it. Research use only.",
}

OF_EXPERIMENTS = {
    **EXPERIMENT_TAGS,
    MLFLOW_RUN_NOTE: "Chest CT: a run for each `lidcflow experiment`, with one run for each arm below it; nothing is "
    "registered. Research use only.",
}


class _NothingKept(OrderedDict[str, Any]):
    """MLflow's memory of places by run, which remembers none.

    The runs of a copied workspace have the ids of the original's: a process that serves both would write into the
    wrong one. To look a place up costs one query for each file that is logged.
    """

    def __setitem__(self, run_id: str, place: Any) -> None:
        """Keep nothing."""


mlflow_places._artifact_repos_cache = _NothingKept()


def connect(tracking: Tracking) -> MlflowClient:
    """Connect this process to MLflow, making its SQLite file on first use.

    MLflow logs models by way of a setting of the process: it is set on every call, because a worker of a lasting
    cluster serves several workspaces.

    Raises
    ------
    TrackingUnavailable
        If the tracking server does not answer.
    ResourceError
        If the database can't be opened, or the workspace was moved and another process is at work there.
    """
    if (workspace := tracking.workspace) and workspace.is_dir():
        found = workspace.stat()
        _settle(workspace, found.st_dev, found.st_ino)
    client = _client(tracking)
    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    return client


@functools.cache
def _settle(workspace: Path, _device: int, _inode: int) -> None:
    """Look once for each folder and name of it whether it was moved: this is called with every figure of a training."""
    relocate_tracking(workspace)


@functools.cache
def _client(tracking: Tracking) -> MlflowClient:
    _check_answers(tracking.uri)
    try:
        if tracking.uri.startswith("sqlite:///"):
            _open_once(Path(tracking.uri.removeprefix("sqlite:///")))
        elif not _is_server(tracking.uri):
            from mlflow.store.db import utils as database  # a second of CPU, which those of a server need not spend

            database.MAX_RETRY_COUNT = DATABASE_TRIES
        client = MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, ImportError, ValueError, OSError) as error:
        if _is_away(tracking.uri, error):
            raise _away(tracking.uri, error) from None
        raise ResourceError(
            f"tracking {without_passwords(tracking.uri)}: must be a database or server that MLflow can read, got "
            f"{_reason(error)}; check tracking.uri"
        ) from None
    return client


@contextmanager
def tracking_connection(tracking: Tracking) -> Iterator[MlflowClient]:
    """Yield the connection for a piece of work, and distinguish an unavailable server from other failures.

    Raises
    ------
    TrackingUnavailable
        If the server does not answer, or no longer.
    ResourceError
        If the database can't be written, or what is written to was deleted on MLflow's page.
    """
    try:
        yield connect(tracking)
    except (MlflowException, OSError) as error:
        if _is_away(tracking.uri, error):
            raise _away(tracking.uri, error) from None
        if deleted := _DELETED.search(str(error)):
            raise _was_deleted(tracking, deleted["what"], deleted["id"]) from None
        if _UNWRITABLE.search(str(error)):
            raise ResourceError(
                f"tracking {without_passwords(tracking.uri)}: its disk must have room and be writable, got "
                f"{_reason(error)}; free some space or repair it, and run again: what is finished is kept"
            ) from None
        raise


def experiment_id(tracking: Tracking) -> str:
    """Return the id of the experiment, making it on first use.

    Raises
    ------
    ResourceError
        If it was deleted on MLflow's page. It is not restored unasked: that would bring back every run in it.
    """
    client = connect(tracking)
    if found := client.get_experiment_by_name(tracking.experiment):
        if found.lifecycle_stage == LifecycleStage.DELETED:
            raise _was_deleted(tracking, "experiment", str(found.experiment_id))
        return str(found.experiment_id)
    try:
        tags = OF_EXPERIMENTS if tracking.experiment.endswith(EXPERIMENTS) else EXPERIMENT_TAGS
        return str(client.create_experiment(tracking.experiment, tracking.artifacts, tags))
    except MlflowException:
        # Another process made it between the two calls.
        if found := client.get_experiment_by_name(tracking.experiment):
            return str(found.experiment_id)
        raise


def pages(server: str, tracking: Tracking) -> dict[str, str]:
    """Return the pages of the MLflow UI worth opening; without the workflow it shows those of language models.

    Parameters
    ----------
    server : str
        Address of the UI, such as ``http://127.0.0.1:5000``.
    tracking : Tracking
        What is shown there.
    """
    workflow = "workflowType=machine_learning"
    return {
        "trainings": f"{server}/#/experiments/{experiment_id(tracking)}/runs?{workflow}",
        "releases": f"{server}/#/models/{tracking.registry_name}?{workflow}",
    }


def require_active_run(tracking: Tracking, run_id: str) -> None:
    """Make sure that a run can be logged on, before something is computed that takes long.

    Raises
    ------
    TrackingUnavailable
        If the server does not answer.
    ResourceError
        If the run was deleted on MLflow's page.
    """
    with tracking_connection(tracking) as client:
        if client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED:
            raise _was_deleted(tracking, "run", run_id)


def _was_deleted(tracking: Tracking, what: str, identity: str) -> ResourceError:
    """Return an error that names what to restore: runs that were deleted with their experiment come back with it."""
    client = MlflowClient(tracking_uri=tracking.uri)
    if what == "run":
        experiment = client.get_experiment(client.get_run(identity).info.experiment_id)
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            what, identity = "experiment", str(experiment.experiment_id)
    option, other = "--run-id", ""
    if what == "experiment":
        option, other = "--experiment-id", ", or choose another name with tracking.experiment"
    return ResourceError(
        f"MLflow {what} {identity}: must be active, got one that was deleted on MLflow's page; restore it with "
        f"`MLFLOW_TRACKING_URI={without_credentials(tracking.uri)} mlflow {what}s restore {option} {identity}`{other}"
    )


def _check_answers(uri: str) -> None:
    """Ask a server once, as MLflow's own client does, which keeps retrying a dead one for minutes."""
    if not _is_server(uri):
        return
    try:
        credentials = mlflow_places.get_default_host_creds(uri)
        answer = http_request(
            credentials, "/health", "GET", max_retries=0, timeout=ANSWER_TIMEOUT_S, raise_on_status=False
        )
    except (MlflowException, OSError, ValueError) as error:  # a ValueError is one of an address of wrong form
        raise _away(uri, error) from None
    if answer.status_code >= BROKEN:
        raise _away(uri, f"status {answer.status_code}")


def _open_once(file: Path) -> None:
    """Open a SQLite file, or make it: MLflow tries again and again where one can't be opened, but no wait mends it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("PRAGMA schema_version")


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _is_away(uri: str, error: Exception) -> bool:
    """Return whether an error is one of a server that can't be reached: by its words, or because it is away now."""
    if not _is_server(uri):
        return False
    unanswered = isinstance(error, RequestException) and error.response is None
    if unanswered or _NOT_REACHED.search(str(error)):
        return True
    try:
        _check_answers(uri)
    except TrackingUnavailable:
        return True
    return False


def _away(uri: str, error: Exception | str) -> TrackingUnavailable:
    return TrackingUnavailable(
        f"tracking {without_passwords(uri)}: the MLflow server must answer, got {_reason(error)}; start it, or check "
        "tracking.uri"
    )


def _reason(error: Exception | str) -> str:
    text = error.message if isinstance(error, MlflowException) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return without_passwords(lines[0][:200]) if lines else type(error).__name__
